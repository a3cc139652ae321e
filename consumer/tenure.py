"""A tenure: this member's time with one partition, from assignment to letting go."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.publisher import Position
from broker.subscription import CommitRequest
from consumer.engine.partition import PartitionEngine
from consumer.lease import Lease

_CANCELLED_SECONDS = 5.0


@dataclass(slots=True, kw_only=True, eq=False)
class Tenure:
    """One partition while this member holds it: its engine, and what is under way for it."""

    partition: int
    number: int
    engine: PartitionEngine
    lease: Lease
    takeover: set[asyncio.Task[None]] = field(default_factory=set)
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    writes: set[asyncio.Future[Position]] = field(default_factory=set)

    def commit_request(self) -> CommitRequest | None:
        """Ask for the frontier to be committed; None before the takeover is done."""
        committable = self.engine.committable
        if committable is None:
            return None
        return CommitRequest(
            partition=self.partition,
            tenure=self.number,
            offset=committable.frontier,
            metadata=committable.metadata(),
        )

    def abandon(self) -> None:
        """Stop at once: somebody else may own the partition already."""
        self.engine.let_go()
        for task in (*self.takeover, *self.calls):
            task.cancel()


async def let_go(tenures: Sequence[Tenure], *, drain_seconds: float, outcome_seconds: float) -> None:
    """Let partitions go in bounded time.

    Start nothing; wait for the calls in flight and cancel the rest to their end, so that the next owner's call never
    meets one of ours; then wait until what ended is written.
    """
    for tenure in tenures:
        tenure.engine.let_go()
    await _cancel([task for tenure in tenures for task in tenure.takeover])
    await _wait([task for tenure in tenures for task in tenure.calls], drain_seconds)
    await _cancel([task for tenure in tenures for task in tenure.calls])
    await _wait([write for tenure in tenures for write in tenure.writes], outcome_seconds)


async def _wait(work: Collection[asyncio.Future[Any]], seconds: float) -> None:
    if work:
        await asyncio.wait(work, timeout=seconds)


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await _wait(tasks, _CANCELLED_SECONDS)

"""A tenure: this member's time with one partition, from assignment to letting go."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from broker.publisher import Position
from broker.subscription import CommitRequest
from consumer.engine.partition import PartitionEngine
from consumer.lease import Lease

_CANCELLED_SECONDS = 5.0


@dataclass(slots=True, kw_only=True, eq=False)
class Tenure:
    """One partition while this member holds it: its engine, and what is under way for it.

    `resting` are those of the calls that wait for what they need before their next attempt; `rewrites` the outcomes
    that wait to be written again.
    """

    partition: int
    number: int
    engine: PartitionEngine
    lease: Lease
    takeover: set[asyncio.Task[None]] = field(default_factory=set)
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    resting: set[asyncio.Task[None]] = field(default_factory=set)
    writes: set[asyncio.Future[Position]] = field(default_factory=set)
    rewrites: set[asyncio.Task[None]] = field(default_factory=set)

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

    async def rest(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait, within a call's task, for what its next attempt needs; letting go ends the task, as nothing starts."""
        if not self.engine.may_start:
            raise asyncio.CancelledError
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.resting.add(task)
        try:
            await wait()
        finally:
            self.resting.discard(task)

    def unwritten(self) -> list[asyncio.Future[Any]]:
        """List what has to be done until every outcome is written."""
        return [*self.writes, *self.rewrites]

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
    await _cancel([task for tenure in tenures for task in (*tenure.takeover, *tenure.resting)])
    await _wait([task for tenure in tenures for task in tenure.calls], drain_seconds)
    await _cancel([task for tenure in tenures for task in tenure.calls])
    await _written(tenures, outcome_seconds)


async def _written(tenures: Sequence[Tenure], seconds: float) -> None:
    """Wait for what is being written, and for what has to be written again meanwhile."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while writes := [write for tenure in tenures for write in tenure.unwritten()]:
                await asyncio.wait(writes)


async def _wait(work: Collection[asyncio.Future[Any]], seconds: float) -> None:
    if work:
        await asyncio.wait(work, timeout=seconds)


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await _wait(tasks, _CANCELLED_SECONDS)

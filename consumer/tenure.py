"""A tenure: this member's time with one partition, from assignment to letting go."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from broker.publisher import Position
from broker.subscription import CommitRequest
from consumer.engine.committed import Committed
from consumer.engine.partition import PartitionEngine
from consumer.handling import Handling
from consumer.lease import Lease
from consumer.scratch import Scratch

_CANCELLED_SECONDS = 5.0


class Pin(NamedTuple):
    """A write that Kafka did not take: the offset of the event that it is about, and the kind of write."""

    offset: int
    write: str


@dataclass(slots=True, kw_only=True, eq=False)
class Tenure:
    """One partition while this member holds it: its engine, and what is under way for it.

    `resting` are those of the calls that wait for what they need before their next attempt; `rewrites` what waits to
    be written again; `committed` what was committed last, and `trimmed` below which position the parked log has been
    deleted; `handled` has for each lane whose head is being handled how far that is, and `pins` what Kafka did not take
    yet, with its error. A tenure that is over hears of nothing any more.
    """

    partition: int
    number: int
    engine: PartitionEngine
    scratch: Scratch
    lease: Lease
    takeover: set[asyncio.Task[None]] = field(default_factory=set)
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    resting: set[asyncio.Task[None]] = field(default_factory=set)
    writes: set[asyncio.Future[Position]] = field(default_factory=set)
    rewrites: set[asyncio.Task[None]] = field(default_factory=set)
    committed: Committed | None = None
    trimmed: int = 0
    handled: dict[bytes, Handling] = field(default_factory=dict)
    pins: dict[Pin, str] = field(default_factory=dict)
    over: bool = False

    def commit_request(self, committed: Committed) -> CommitRequest:
        """Ask for a commit under this tenure."""
        return CommitRequest(
            partition=self.partition, tenure=self.number, offset=committed.frontier, metadata=committed.metadata()
        )

    def trimmable(self) -> int | None:
        """Give the position below which the parked log may be deleted now; None if it has been."""
        end = 0 if self.committed is None else self.engine.deletable(self.committed)
        return end if end > self.trimmed else None

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

    def begin_call(self, call: asyncio.Task[None], lane: bytes, handling: Handling) -> None:
        """Take note that a lane's head is being handled."""
        self.calls.add(call)
        self.handled[lane] = handling

    def end_call(self, call: asyncio.Task[None], lane: bytes, handling: Handling) -> None:
        """Take note that a task is done; the lane's next event may be being handled already."""
        self.calls.discard(call)
        if self.handled.get(lane) is handling:
            del self.handled[lane]

    def unwritten(self) -> list[asyncio.Future[Any]]:
        """List what has to be done until everything is written."""
        return [*self.writes, *self.rewrites]

    def abandon(self) -> None:
        """Stop at once: somebody else may own the partition already."""
        self.engine.let_go()
        for task in (*self.takeover, *self.calls):
            task.cancel()
        self.end()

    def end(self) -> None:
        """End the tenure: nothing is written again, and the copy of what is parked is not needed any more."""
        self.over = True
        for task in self.rewrites:
            task.cancel()
        self.scratch.close()


async def let_go(tenures: Sequence[Tenure], *, drain_seconds: float, write_seconds: float) -> None:
    """Let partitions go in bounded time.

    Start nothing; wait for the calls in flight and cancel the rest to their end, so that the next owner's call never
    meets one of ours; then wait until what ended is written.
    """
    for tenure in tenures:
        tenure.engine.let_go()
    await _cancel([task for tenure in tenures for task in (*tenure.takeover, *tenure.resting)])
    await _wait([task for tenure in tenures for task in tenure.calls], drain_seconds)
    await _cancel([task for tenure in tenures for task in tenure.calls])
    await _written(tenures, write_seconds)


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

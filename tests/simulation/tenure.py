"""A tenure in the simulation: mirrors `consumer.tenure` and `consumer.lease`, with generators for tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from consumer.engine.commands import Write
from consumer.engine.committed import Committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import PartitionEngine
from consumer.scratch import Scratch
from tests.simulation.facts import Call, Facts, Violation
from tests.simulation.scheduler import Future, Process, Steps, Task, wait_for_all
from tests.simulation.world import Commit

WRITE_SECONDS = 10.0


class Lease:
    """Let calls start only for a while after the sending of the last commit that succeeded."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = float("-inf")
        self._renewed: Future[None] = Future()

    def renew(self, sent_at: float) -> None:
        """Extend the lease: a commit sent at this time was taken."""
        self._until = max(self._until, sent_at + self._seconds)
        renewed, self._renewed = self._renewed, Future()
        renewed.resolve(None)

    def valid(self, now: float) -> bool:
        """Say whether a call may start."""
        return now < self._until

    def renewed(self) -> Future[None]:
        """Give what is resolved at the next renewal."""
        return self._renewed


@dataclass(slots=True, kw_only=True, eq=False)
class Tenure:
    """One partition while a member holds it. Dicts are used as ordered sets: a seed has to replay exactly.

    `parks` are the events whose park is not acknowledged, `turning` those that are being called from the parked log.
    """

    facts: Facts
    engine: PartitionEngine
    scratch: Scratch
    lease: Lease
    takeover: Task[None] | None = None
    calls: dict[int, Task[None]] = field(default_factory=dict)
    in_flight: dict[int, Call] = field(default_factory=dict)
    resting: dict[int, None] = field(default_factory=dict)
    writes: dict[int, tuple[Write, Future[int | None]]] = field(default_factory=dict)
    rewrites: dict[int, Task[None]] = field(default_factory=dict)
    parks: set[int] = field(default_factory=set)
    turning: set[int] = field(default_factory=set)
    committed: Committed | None = None
    trimmed: int = 0
    over: bool = False

    @property
    def partition(self) -> int:
        """Give the number of the partition."""
        return self.facts.partition

    @property
    def parking(self) -> int:
        """Count the parks that are not acknowledged."""
        return len(self.parks)

    def turn_begins(self, waiting: Waiting) -> None:
        """Check that what is called from the parked log is not being written there."""
        if waiting.parked:
            self.turning.add(waiting.offset)
            if waiting.offset in self.parks:
                raise Violation("called while being parked", f"{self.facts} starts {waiting.offset}")

    def park_begins(self, offset: int) -> None:
        """Check that what is written to the parked log is not being called, or written already."""
        if offset in self.turning or offset in self.parks:
            raise Violation("parked while being called", f"{self.facts} parks {offset}")
        self.parks.add(offset)

    def commit(self) -> Commit | None:
        """Ask for the frontier to be committed; None before the takeover is done."""
        committable = self.engine.committable
        if committable is None:
            return None
        metadata = committable.metadata()
        return Commit(tenure=self.facts, offset=committable.frontier, metadata=metadata, committed=committable)

    def trimmable(self) -> int | None:
        """Give the position below which the parked log may be deleted now; None if it has been."""
        end = 0 if self.committed is None else self.engine.deletable(self.committed)
        return end if end > self.trimmed else None

    def unwritten(self) -> list[Future[Any]]:
        """List what has to be done until everything is written."""
        writes = [acknowledged for _, acknowledged in self.writes.values()]
        return [*writes, *(task.finished for task in self.rewrites.values())]

    def cancel(self, offset: int, now: float) -> None:
        """Cancel a call; what it has in flight ends with it."""
        self.calls[offset].cancel()
        call = self.in_flight.pop(offset, None)
        if call is not None:
            call.ends = min(call.ends, now)

    def abandon(self, now: float) -> None:
        """Stop at once: somebody else may own the partition already."""
        self.engine.let_go()
        if self.takeover is not None:
            self.takeover.cancel()
        for offset in list(self.calls):
            self.cancel(offset, now)
        for task in list(self.rewrites.values()):
            task.cancel()
        self.end()

    def end(self) -> None:
        """End the tenure: it hears of nothing any more."""
        self.over = True
        self.scratch.close()


def let_go(process: Process, tenures: Sequence[Tenure], drain: float) -> Steps[int]:
    """Let partitions go: start nothing, wait for calls, cancel the rest, wait until what ended is written.

    Gives the number of calls that were cancelled while they were in flight.
    """
    for tenure in tenures:
        tenure.engine.let_go()
    for tenure in tenures:
        if tenure.takeover is not None:
            tenure.takeover.cancel()
        for offset in list(tenure.resting):
            tenure.cancel(offset, process.scheduler.now)
    calls = [task.finished for tenure in tenures for task in tenure.calls.values()]
    yield from wait_for_all(process, calls, drain)
    cancelled = sum(len(tenure.in_flight) for tenure in tenures)
    for tenure in tenures:
        for offset in list(tenure.calls):
            tenure.cancel(offset, process.scheduler.now)
    deadline = process.scheduler.now + WRITE_SECONDS
    while process.scheduler.now < deadline and (writes := [w for tenure in tenures for w in tenure.unwritten()]):
        yield from wait_for_all(process, writes, deadline - process.scheduler.now)
        yield 0.0
    return cancelled

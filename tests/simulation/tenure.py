"""A tenure in the simulation: mirrors `consumer.tenure` and `consumer.lease`, with generators for tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from consumer.engine.partition import PartitionEngine
from tests.simulation.audit import Call, Facts
from tests.simulation.scheduler import Future, Process, Steps, Task, wait_for_all
from tests.simulation.world import Commit

OUTCOME_SECONDS = 10.0


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
    """One partition while a member holds it. Dicts are used as ordered sets: a seed has to replay exactly."""

    facts: Facts
    engine: PartitionEngine
    lease: Lease
    takeover: Task[None] | None = None
    calls: dict[int, Task[None]] = field(default_factory=dict)
    in_flight: dict[int, Call] = field(default_factory=dict)
    resting: dict[int, None] = field(default_factory=dict)
    writes: dict[int, Future[int | None]] = field(default_factory=dict)
    rewrites: dict[int, Task[None]] = field(default_factory=dict)

    @property
    def partition(self) -> int:
        """Give the number of the partition."""
        return self.facts.partition

    def commit(self) -> Commit | None:
        """Ask for the frontier to be committed; None before the takeover is done."""
        committable = self.engine.committable
        if committable is None:
            return None
        return Commit(tenure=self.facts, offset=committable.frontier, metadata=committable.metadata())

    def unwritten(self) -> list[Future[Any]]:
        """List what has to be done until every outcome is written."""
        return [*self.writes.values(), *(task.finished for task in self.rewrites.values())]

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
    deadline = process.scheduler.now + OUTCOME_SECONDS
    while process.scheduler.now < deadline and (writes := [w for tenure in tenures for w in tenure.unwritten()]):
        yield from wait_for_all(process, writes, deadline - process.scheduler.now)
        yield 0.0
    return cancelled

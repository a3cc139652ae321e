"""A member of the group in the simulation: mirrors `consumer.member`, the same commands in the same order.

assigned ─▶ take over ─▶ received ─▶ start ─▶ handle ─▶ outcome ─▶ commit ─▶ released
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from consumer.engine.commands import Command, Pause, Read, Start, WriteOutcome
from consumer.engine.committed import read_committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Bounds, Ending, PartitionEngine, Skipped
from consumer.lease import COMMITS_PER_LEASE, LEASE_SHARE
from consumer.slots import Slot, Slots
from schemas.outcome import Ended
from tests.simulation.calls import handle
from tests.simulation.producer import Producer
from tests.simulation.scheduler import Future, Process, Steps, Task
from tests.simulation.subscription import BATCHES_AHEAD, Assignment, Subscription
from tests.simulation.taking_over import take_over
from tests.simulation.tenure import Lease, Tenure, let_go
from tests.simulation.world import Commit, World

_WRITE_AGAIN_SECONDS = 0.1


class Member:
    """Hold partitions, handle their events, and let them go."""

    def __init__(self, process: Process, world: World) -> None:
        self.process = process
        self.world = world
        self.tenures: dict[int, Tenure] = {}
        self.slots = Slots(world.setup.slots)
        self.producer = Producer(process, world)
        self.subscription = Subscription(self)
        self._committing = process.spawn(self._commit_regularly())

    # Told by the subscription.

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Begin a tenure of each partition, with its takeover."""
        for assignment in assignments:
            tenure = self._begin(assignment)
            self.tenures[tenure.partition] = tenure
            tenure.takeover = self.process.spawn(self._take_over(tenure))
        self._share_bounds()

    def received(self, partition: int, records: Sequence[Waiting | Skipped]) -> None:
        """Hand records to the engine of their partition."""
        tenure = self.tenures.get(partition)
        if tenure is None:
            return
        commands = tenure.engine.records_read(records)
        slack = self.world.setup.batch * (BATCHES_AHEAD + 1)
        self.world.audit.held(tenure.facts, tenure.engine.bounds.events, tenure.engine.held, slack)
        self._note_batch(tenure, records, commands)
        self._carry_out(tenure, commands)

    def released(self, partitions: Sequence[int]) -> Steps[list[Commit]]:
        """Let partitions go, and say what to commit for them."""
        tenures = [self.tenures[number] for number in partitions if number in self.tenures]
        cancelled = yield from let_go(self.process, tenures, self.world.setup.drain)
        if cancelled:
            self.world.seen("call cancelled while letting go")
        for tenure in tenures:
            self.tenures.pop(tenure.partition, None)
            tenure.facts.end(self.world.now)
        self._share_bounds()
        return _commits(tenures)

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions that somebody else may own already."""
        for number in partitions:
            tenure = self.tenures.pop(number, None)
            if tenure is not None:
                self.world.seen("partition lost")
                tenure.facts.end(self.world.now)
                tenure.abandon(self.world.now)
        self._share_bounds()

    def _commit_regularly(self) -> Steps[None]:
        lease = self.world.setup.session * LEASE_SHARE
        interval = min(self.world.setup.commit_interval, lease / COMMITS_PER_LEASE)
        while True:
            yield interval
            requests = _commits(self.tenures.values())
            if not requests:
                continue
            sent_at = self.world.now
            taken: Any = yield self.subscription.commit(requests)
            for tenure in self.tenures.values():
                if taken is not None and tenure.facts.number in taken:
                    tenure.lease.renew(sent_at)

    # Taking over.

    def _begin(self, assignment: Assignment) -> Tenure:
        committed = read_committed(assignment.start, assignment.metadata)
        engine = PartitionEngine(committed, self.process.name, self._share(len(self.tenures) + 1))
        lease = Lease(self.world.setup.session * LEASE_SHARE)
        return Tenure(facts=assignment.facts, engine=engine, lease=lease)

    def _take_over(self, tenure: Tenure) -> Steps[None]:
        commands = yield from take_over(self, tenure)
        self.world.audit.running(tenure.facts, tenure.engine.epoch)
        self.world.note(self.process.name, lambda: f"{tenure.facts} runs with epoch {tenure.engine.epoch}")
        self._carry_out(tenure, commands)

    def _share(self, partitions: int) -> Bounds:
        events = max(1, self.world.setup.max_held_events // partitions)
        return Bounds(events=events, bytes=100 * events + 50, distance=self.world.setup.max_distance)

    def _share_bounds(self) -> None:
        for tenure in self.tenures.values():
            tenure.engine.bounds = self._share(len(self.tenures))

    # Running.

    def _carry_out(self, tenure: Tenure, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    self.slots.request(waiting.event.tenant, partial(self._start, tenure, waiting))
                case WriteOutcome(ended=ended):
                    self.write_outcome(tenure, ended)
                case Pause():
                    self.world.seen("paused at the bounds")
                    self.subscription.pause(tenure.facts)
                case Read():
                    self.subscription.resume(tenure.facts)
                case _:
                    raise TypeError(f"{command} belongs to a takeover")

    def _start(self, tenure: Tenure, waiting: Waiting, slot: Slot) -> bool:
        if not tenure.engine.may_start:
            return False
        call = self.process.spawn(handle(self, tenure, waiting, slot))
        tenure.calls[waiting.offset] = call
        call.finished.then(partial(_forget, tenure.calls, waiting.offset))
        call.finished.then(lambda _: slot.give_back())
        return True

    def call_ended(self, tenure: Tenure, waiting: Waiting, ending: Ending) -> None:
        """Tell the engine how a call ended."""
        self._carry_out(tenure, tenure.engine.call_ended(waiting, ending))

    def write_outcome(self, tenure: Tenure, ended: Ended) -> None:
        """Write how an event ended."""
        written = self.producer.write(tenure.facts, ended)
        tenure.writes[ended.offset] = written
        written.then(partial(self.outcome_written, tenure, ended))

    def outcome_written(self, tenure: Tenure, ended: Ended, position: int | None) -> None:
        """Settle the event, or write its outcome again."""
        tenure.writes.pop(ended.offset, None)
        if position is None:
            self.not_written(tenure, ended)
            return
        tenure.facts.open.discard(ended.offset)
        tenure.facts.may_be_followed.add(ended.offset)
        self._carry_out(tenure, tenure.engine.outcome_written(ended.offset, position))

    def not_written(self, tenure: Tenure, ended: Ended) -> None:
        """Write an outcome again that Kafka did not take."""
        if self.tenures.get(tenure.partition) is tenure:
            task = self.process.spawn(self._write_later(tenure, ended))
            tenure.rewrites[ended.offset] = task
            task.finished.then(partial(_forget, tenure.rewrites, ended.offset))

    def _write_later(self, tenure: Tenure, ended: Ended) -> Steps[None]:
        yield _WRITE_AGAIN_SECONDS
        self.write_outcome(tenure, ended)

    # Stopping.

    def stop(self) -> Steps[None]:
        """End as after SIGTERM: let everything go, flush, exit."""
        stopped: Future[None] = self.subscription.stop()
        yield stopped
        deadline = self.world.now + self.world.setup.drain
        while self.producer.unacknowledged and self.world.now < deadline:
            yield 0.1
        self.world.over(member=self.process.name)
        self.process.kill()

    def _note_batch(self, tenure: Tenure, records: Sequence[Waiting | Skipped], commands: Sequence[Command]) -> None:
        known = self.world.audit.journals[tenure.partition].known
        for record in records:
            if isinstance(record, Skipped):
                self.world.seen("garbage skipped")
            elif record.offset in known and known[record.offset][0] < (tenure.facts.mark or 0):
                self.world.seen("event skipped that ended before")
        self.world.note(
            self.process.name,
            lambda: (
                f"{tenure.facts} reads {[record.offset for record in records]}, then {_names(commands)}; "
                f"holds {tenure.engine.held}"
            ),
        )


def _commits(tenures: Iterable[Tenure]) -> list[Commit]:
    return [commit for tenure in tenures if (commit := tenure.commit()) is not None]


def _forget(tasks: dict[int, Task[None]], offset: int, _: object) -> None:
    tasks.pop(offset, None)


def _names(commands: Iterable[Command]) -> str:
    texts = (f"start {c.waiting.offset}" if isinstance(c, Start) else type(c).__name__.lower() for c in commands)
    return ", ".join(texts) or "nothing"

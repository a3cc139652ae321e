"""A member of the group in the simulation: mirrors `consumer.member`, the same commands in the same order.

assigned ─▶ take over ─▶ received ─▶ start ─▶ handle ─▶ write ─▶ commit ─▶ released
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from consumer.engine.commands import (
    Command,
    Pause,
    Read,
    Start,
    WriteDead,
    WriteOutcome,
    WritePark,
    WriteSettle,
)
from consumer.engine.committed import read_committed
from consumer.engine.doors import door_of
from consumer.engine.endings import Ending, Place, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds
from consumer.lease import COMMITS_PER_LEASE, LEASE_SHARE
from consumer.scratch import Scratch
from consumer.slots import Slot, Slots
from schemas.parked import Park
from tests.simulation.calls import handle
from tests.simulation.doors import AuditedDoors
from tests.simulation.facts import Violation
from tests.simulation.outage import Outage
from tests.simulation.producer import Producer
from tests.simulation.scheduler import Future, Process, Steps, Task
from tests.simulation.setup import EPOCH
from tests.simulation.subscription import Assignment, Subscription
from tests.simulation.taking_over import take_over
from tests.simulation.tenure import Lease, Tenure, let_go
from tests.simulation.world import Commit, World
from tests.simulation.writes import Writes


class Member:
    """Hold partitions, handle their events, and let them go."""

    def __init__(self, process: Process, world: World) -> None:
        self.process = process
        self.world = world
        self.tenures: dict[int, Tenure] = {}
        self.slots = Slots(world.setup.slots)
        self.doors = AuditedDoors(world)
        self._wrong_by, self._leapt = 0, False
        self.outage = Outage(self)
        self.producer = Producer(process, world)
        self.writes = Writes(self)
        self.subscription = Subscription(self)
        for work in (self._commit_regularly(), self._tick_regularly(), self._trim_regularly()):
            process.spawn(work)

    @property
    def now(self) -> int:
        """Give the time in milliseconds, by a clock that may be wrong."""
        return EPOCH + int(self.world.now * 1000) + self._wrong_by

    def leap(self, wrong_by: int) -> None:
        """Let the clock be wrong by so many milliseconds from now on."""
        self._leapt, self._wrong_by = True, wrong_by
        self.doors.clock_leapt()
        for tenure in self.tenures.values():
            tenure.facts.leapt = True

    # Told by the subscription.

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Begin a tenure of each partition, with its takeover."""
        for assignment in assignments:
            tenure = self._begin(assignment)
            self.tenures[tenure.partition] = tenure
            tenure.takeover = self.process.spawn(self._take_over(tenure))
        self._share_bounds()

    def received(self, partition: int, records: Sequence[Waiting | Unreadable]) -> None:
        """Hand records to the engine of their partition."""
        tenure = self.tenures.get(partition)
        if tenure is None:
            return
        commands = tenure.engine.records_read(records, self.now)
        self._audit_held(tenure, records)
        self._note_batch(tenure, records, commands)
        self.carry_out(tenure, commands)

    def released(self, partitions: Sequence[int]) -> Steps[list[Commit]]:
        """Let partitions go, and say what to commit for them."""
        tenures = [self.tenures[number] for number in partitions if number in self.tenures]
        cancelled = yield from let_go(self.process, tenures, self.world.setup.drain)
        if cancelled:
            self.world.seen("call cancelled while letting go")
        requests = _commits(tenures)
        for tenure in tenures:
            self.tenures.pop(tenure.partition, None)
            tenure.facts.end(self.world.now)
            tenure.end()
        self._share_bounds()
        return requests

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions that somebody else may own already."""
        for number in partitions:
            tenure = self.tenures.pop(number, None)
            if tenure is not None:
                self.world.seen("partition lost")
                tenure.facts.end(self.world.now)
                tenure.abandon(self.world.now)
        self._share_bounds()

    # At regular times.

    def _commit_regularly(self) -> Steps[None]:
        lease = self.world.setup.session * LEASE_SHARE
        interval = min(self.world.setup.commit_interval, lease / COMMITS_PER_LEASE)
        while True:
            yield interval
            requests = _commits(self.tenures.values())
            if not requests:
                continue
            sent_at = self.world.now
            committed = {request.tenure.number: request.committed for request in requests}
            taken: Any = yield self.subscription.commit(requests)
            for tenure in self.tenures.values():
                if taken is not None and tenure.facts.number in taken:
                    tenure.lease.renew(sent_at)
                    tenure.committed = committed[tenure.facts.number]

    def _tick_regularly(self) -> Steps[None]:
        while True:
            yield self.world.setup.tick
            for tenure in list(self.tenures.values()):
                commands = tenure.engine.tick(self.now)
                if any(isinstance(command, WritePark) for command in commands):
                    self.world.seen("rewritten to keep the parked log short")
                self.carry_out(tenure, commands)

    def _trim_regularly(self) -> Steps[None]:
        while True:
            yield self.world.setup.trim_interval
            for tenure in list(self.tenures.values()):
                end = tenure.trimmable()
                if end is None:
                    continue
                land = partial(self.world.trim, self.process, tenure.partition, end)
                trimmed: Any = yield self.world.network.request(self.process, land)
                if trimmed is not None:
                    tenure.trimmed = end

    # Taking over.

    def _begin(self, assignment: Assignment) -> Tenure:
        committed = read_committed(assignment.start, assignment.metadata)
        number = assignment.facts.partition
        assignment.facts.leapt = self._leapt
        place = Place(group="group", member=self.process.name, topic="source", partition=number)
        bounds, scratch = self._share(len(self.tenures) + 1), Scratch()
        policy = replace(self.world.setup.policy, doors=self.doors)
        engine = PartitionEngine(committed, place, policy, bounds, scratch)
        lease = Lease(self.world.setup.session * LEASE_SHARE)
        return Tenure(facts=assignment.facts, engine=engine, scratch=scratch, lease=lease)

    def _take_over(self, tenure: Tenure) -> Steps[None]:
        commands = yield from take_over(self, tenure)
        self.world.audit.running(tenure.facts, tenure.engine.epoch)
        self._audit_restored(tenure)
        self.world.note(self.process.name, lambda: f"{tenure.facts} runs with epoch {tenure.engine.epoch}")
        self.carry_out(tenure, commands)

    def _share(self, partitions: int) -> Bounds:
        setup = self.world.setup
        events = max(1, setup.max_held_events // partitions)
        return Bounds(
            events=events,
            bytes=300 * events + 150,
            distance=setup.max_distance,
            turns=setup.turns,
            scratch=max(1, setup.max_scratch // partitions),
        )

    def _share_bounds(self) -> None:
        for tenure in self.tenures.values():
            tenure.engine.bounds = self._share(len(self.tenures))

    # Running.

    def carry_out(self, tenure: Tenure, commands: Iterable[Command]) -> None:
        """Do what an engine asks for."""
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    tenure.turn_begins(waiting)
                    self._audit_turn(tenure, waiting)
                    self.request(tenure, waiting)
                case WritePark(offset=offset):
                    tenure.park_begins(offset)
                    self.writes.write(tenure, command)
                case WriteOutcome() | WriteSettle() | WriteDead():
                    self.writes.write(tenure, command)
                case Pause():
                    self._note_pause(tenure)
                    self.subscription.pause(tenure.facts)
                case Read():
                    tenure.facts.full = 0
                    self.subscription.resume(tenure.facts)
                case _:
                    raise TypeError(f"{command} belongs to a takeover")

    def request(self, tenure: Tenure, waiting: Waiting) -> None:
        """Start the handling of an event as soon as there is room."""
        self.slots.request(waiting.event.tenant, partial(self._start, tenure, waiting))

    def is_wanted(self, tenure: Tenure, waiting: Waiting) -> bool:
        """Say whether an event is to be called; what a later one covers, or its door stops, is settled instead."""
        if not tenure.engine.may_start:
            return False
        if superseded := tenure.engine.superseded(waiting, self.now):
            tenure.turning.discard(waiting.offset)
            self._audit_superseded(tenure, waiting, superseded)
            self.carry_out(tenure, superseded)
            return False
        turned_away = tenure.engine.turned_away(waiting, self.now)
        if turned_away is not None:
            tenure.turning.discard(waiting.offset)
            closed = self.doors.is_closed(door_of(waiting.event))
            held = "turn given back, its destination is down" if waiting.parked else "room made for other destinations"
            self.world.seen("turned away at a closed door" if closed else held)
            self.carry_out(tenure, turned_away)
            return False
        return True

    def _start(self, tenure: Tenure, waiting: Waiting, slot: Slot) -> bool:
        if not self.is_wanted(tenure, waiting):
            return False
        if self.outage.stops(waiting):
            self.outage.wait(tenure, waiting)
            return False
        self._audit_door(waiting)
        call = self.process.spawn(handle(self, tenure, waiting, slot))
        tenure.calls[waiting.offset] = call
        call.finished.then(partial(_forget, tenure.calls, waiting.offset))
        call.finished.then(lambda _: slot.give_back())
        return True

    def call_ended(self, tenure: Tenure, waiting: Waiting, ending: Ending) -> None:
        """Tell the engine how a call ended."""
        if not tenure.over:
            tenure.turning.discard(waiting.offset)
            self.carry_out(tenure, tenure.engine.call_ended(waiting, ending))

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

    # What the audit and the trace are told.

    def _audit_held(self, tenure: Tenure, records: Sequence[Waiting | Unreadable]) -> None:
        engine = tenure.engine
        handling = self.world.handling[tenure.partition]
        handling.held(tenure.facts, engine.bounds, engine.held, tenure.parking)
        if tenure.scratch.size >= engine.bounds.scratch and records[-1].offset > tenure.facts.parked_up_to:
            handling.scratch(tenure.facts, len(records))

    def _audit_restored(self, tenure: Tenure) -> None:
        def note_at(offset: int) -> Park | None:
            event = tenure.scratch.event(offset)
            return None if event is None else event.note

        self.world.audit.restored(tenure.facts, note_at, tenure.scratch.count, tenure.engine.parked)

    def _audit_superseded(self, tenure: Tenure, head: Waiting, commands: Sequence[Command]) -> None:
        journal = self.world.audit.journals[tenure.partition]
        for command in commands:
            if isinstance(command, WriteOutcome):
                record = journal.source[command.ended.offset]
                covered = head if head.offset == record.offset else record
                if isinstance(covered, Waiting):
                    self.world.handling[tenure.partition].superseded(tenure.facts, covered)

    def _audit_door(self, waiting: Waiting) -> None:
        """Check that nothing passes a closed door but probes (promise 11)."""
        door = door_of(waiting.event)
        if self.doors.is_closed(door) and not waiting.probe:
            raise Violation("door", f"{self.process.name} calls {waiting.offset} although {door!r} is closed")

    def _audit_turn(self, tenure: Tenure, waiting: Waiting) -> None:
        """Check that nothing that is parked for a destination that is down gets a turn (promise 11)."""
        if waiting.parked and self.outage.holds(waiting):
            raise Violation("door, held", f"{tenure.facts} gives a turn to {waiting.offset}, which is held")

    def _note_pause(self, tenure: Tenure) -> None:
        self.world.seen("paused at the bounds")
        if tenure.scratch.size >= tenure.engine.bounds.scratch:
            self.world.seen("scratch full")

    def _note_batch(self, tenure: Tenure, records: Sequence[Waiting | Unreadable], commands: Sequence[Command]) -> None:
        known = self.world.audit.journals[tenure.partition].known
        for record in records:
            if record.offset in known and known[record.offset][0] < (tenure.facts.mark or 0):
                self.world.seen("event skipped that ended before")
        self.world.note(
            self.process.name,
            lambda: (
                f"{tenure.facts} reads {[record.offset for record in records]}, then {_names(commands)}; "
                f"holds {tenure.engine.held}, parked {tenure.engine.parked}"
            ),
        )


def _commits(tenures: Iterable[Tenure]) -> list[Commit]:
    return [commit for tenure in tenures if (commit := tenure.commit()) is not None]


def _forget(tasks: dict[int, Task[None]], offset: int, _: object) -> None:
    tasks.pop(offset, None)


def _names(commands: Iterable[Command]) -> str:
    return ", ".join(_name(command) for command in commands) or "nothing"


def _name(command: Command) -> str:
    match command:
        case Start(waiting=waiting):
            return f"start {waiting.offset}"
        case WritePark(offset=offset):
            return f"park {offset}"
        case _:
            return type(command).__name__.lower()

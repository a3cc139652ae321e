"""A model of one partition in memory: the logs as Kafka keeps them, and a member that works on them step by step.

Nothing here knows how the engine does it. The truth about what is parked and what has ended is folded from the whole
logs each time; nothing of them is ever forgotten, although the member may only read what was not deleted.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from consumer.engine.commands import (
    Claim,
    Command,
    Log,
    Mark,
    Pause,
    Read,
    ReadBack,
    Start,
    Write,
    WriteDead,
    WriteOutcome,
    WritePark,
    WriteSettle,
)
from consumer.engine.committed import read_committed
from consumer.engine.endings import Ending, Place, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedEntry
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds, Policy
from consumer.engine.retry import Backoff, Failed, ParkedBudget
from consumer.engine.takeover import Marks, OutcomeEntry
from consumer.scratch import Scratch
from schemas.outcome import Applied, Ended, HandlerResult, OutcomeKind, Taken
from schemas.parked import Park, Settle, read_note, write_note
from schemas.record import Record
from tests.consumer.fakes import SYNC, received

Answer = Callable[[], list[Command]]
"""Tell the engine of an acknowledgement."""

BOUNDS = Bounds(events=6, bytes=10_000, distance=12, turns=2, scratch=1_000_000)
POLICY = Policy(
    parked=ParkedBudget(backoff=Backoff(initial=5, most=20), attempts=3, seconds=200),
    lane_waiting=2,
    tenant_share=0.7,
    supersede=frozenset({SYNC}),
    parked_span=5,
)
_BATCH = 8
_EVER = 100_000


@dataclass(slots=True)
class Kafka:
    """What survives every member. `hidden` outcomes come from members that had been replaced: nobody knows them."""

    source: list[Waiting | Unreadable] = field(default_factory=list)
    outcomes: list[Ended | Taken] = field(default_factory=list)
    parked: list[Record] = field(default_factory=list)
    notes: list[Park | Settle | Taken] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    committed: tuple[int, str] = (0, "")
    deleted_below: int = 0
    hidden: set[int] = field(default_factory=set)
    members: int = 0
    owner: "Member | None" = None
    now: int = 1_000_000

    def append_parked(self, record: Record) -> int:
        """Append to the parked log; give the position."""
        self.parked.append(record)
        self.notes.append(read_note(received(record, 0, 0))[0])
        return len(self.parked) - 1

    def parked_entries(self, start: int, until: int) -> list[ParkedEntry]:
        """Read a stretch of the parked log, as far as it is not deleted."""
        entries = []
        for position in range(max(start, self.deleted_below), until + 1):
            note, record = read_note(received(self.parked[position], 0, position))
            entries.append(ParkedEntry(position=position, note=note, record=record))
        return entries

    def ended(self, start: int = 0) -> set[int]:
        """List the offsets whose outcome lies in the log from a position on, known to the owner or not."""
        return {record.offset for record in self.outcomes[start:] if isinstance(record, Ended)}

    def known(self) -> set[int]:
        """List the offsets whose outcome the owner has to know, or knew when it still mattered."""
        return {
            record.offset
            for position, record in enumerate(self.outcomes)
            if isinstance(record, Ended) and position not in self.hidden
        }

    def table(self, start: int = 0, epoch: int = 0) -> dict[int, tuple[int, Park]]:
        """Fold the parked log: where the record of each parked event lies, and what it says."""
        table: dict[int, tuple[int, Park]] = {}
        for position in range(start, len(self.notes)):
            match self.notes[position]:
                case Taken() as taken:
                    epoch = max(epoch, taken.epoch)
                case Settle(offset=offset):
                    table.pop(offset, None)
                case Park() as note if note.epoch >= epoch:
                    table[note.offset] = (position, note)
                case Park():
                    pass
        return table

    def check_all_is_over(self) -> None:
        """Check that every record of the source reached its end."""
        assert self.ended() == {record.offset for record in self.source}, "an event was lost"
        assert self.table().keys() == set(), "an event is parked for ever"


class Member:
    """One tenure, from the takeover on; what it writes lands, and is acknowledged, when the test says so."""

    def __init__(self, kafka: Kafka) -> None:
        self.scratch = Scratch()
        if kafka.owner is not None:
            kafka.owner.scratch.close()
        kafka.members += 1
        kafka.owner = self
        self.kafka = kafka
        place = Place(group="sync", member=f"member-{kafka.members}", topic="fuse.webhooks", partition=0)
        self.engine = PartitionEngine(read_committed(*kafka.committed), place, POLICY, BOUNDS, self.scratch)
        self.read_at = kafka.committed[0]
        self.paused = True
        self.ready: dict[int, Waiting] = {}
        self.calling: dict[int, Waiting] = {}
        self.writes: dict[Log | None, deque[Write]] = defaultdict(deque)
        self.landed: dict[Log | None, deque[Answer]] = defaultdict(deque)
        self.decided: set[int] = set()
        self.may_be_followed: set[int] = set()
        self.due: dict[int, int] = {}
        self.parking: set[int] = set()

    # Taking over.

    def take_over(self, most: int = _EVER) -> None:
        """Carry the takeover out, or the first steps of it."""
        commands = self.engine.begin()
        while not self.engine.running and most > 0:
            commands = self._step(commands[0])
            most -= 1
        if self.engine.running:
            self.may_be_followed = self.kafka.known()
            self.due = {offset: note.due for offset, (_, note) in self.kafka.table().items()}
            self._carry_out(commands)

    def _step(self, command: Command) -> list[Command]:
        match command:
            case Claim(offset=offset, metadata=metadata):
                self.kafka.committed = (offset, metadata)
                return self.engine.claimed()
            case Mark(taken=taken):
                self.kafka.outcomes.append(taken)
                parked = self.kafka.append_parked(write_note(taken))
                return self.engine.marked(Marks(outcomes=len(self.kafka.outcomes) - 1, parked=parked))
            case ReadBack(log=Log.PARKED, start=start, until=until):
                entries = self.kafka.parked_entries(start, until)
                self.engine.parked_read(entries[: len(entries) // 2])  # breaks off, and is begun anew
                self.engine.parked_read(entries)
                return self.engine.read_back()
            case ReadBack(start=start, until=until):
                log = [OutcomeEntry(position=at, record=self.kafka.outcomes[at]) for at in range(start, until + 1)]
                self.engine.outcomes_read(log)
                self.kafka.hidden = {position for position in self.kafka.hidden if not start <= position <= until}
                return self.engine.read_back()
            case _:
                raise AssertionError(command)

    # Running.

    @property
    def may_read(self) -> bool:
        """Say whether there is something to read, and the engine wants it."""
        return not self.paused and self.read_at < len(self.kafka.source)

    @property
    def writes_on_the_way(self) -> bool:
        """Say whether a write has not landed."""
        return any(self.writes.values())

    def read(self, most: int = _BATCH) -> None:
        """Give the engine the next records."""
        batch = self.kafka.source[self.read_at : self.read_at + most]
        self.read_at += len(batch)
        self._carry_out(self.engine.records_read(batch, self.kafka.now))
        assert self.engine.held <= BOUNDS.events + _BATCH + BOUNDS.turns, "more is held than the bounds allow"

    def start(self, offset: int) -> None:
        """Ask whether an event is superseded; if not, check what may be checked, and call."""
        waiting = self.ready.pop(offset)
        superseded = self.engine.superseded(waiting, self.kafka.now)
        if superseded:
            self._carry_out(superseded)
            return
        earlier = {each.offset for each in self.kafka.source[:offset] if _lane(each) == waiting.lane}
        assert earlier <= self.may_be_followed, "a later event is called before an earlier one ended"
        self.calling[offset] = waiting

    def call_ends(self, offset: int, result: HandlerResult | Failed, attempts: int = 1) -> None:
        """End a call."""
        waiting, now = self.calling.pop(offset), self.kafka.now
        if isinstance(result, Applied):
            self.may_be_followed.add(offset)
        if not isinstance(result, Failed):
            self.decided.add(offset)
        self._carry_out(
            self.engine.call_ended(waiting, Ending(result=result, attempts=attempts, called=now, ended=now))
        )

    def tick(self, milliseconds: int) -> None:
        """Let time pass."""
        self.kafka.now += milliseconds
        self._carry_out(self.engine.tick(self.kafka.now))

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    self._make_ready(waiting)
                case WriteOutcome(ended=ended):
                    self.decided.add(ended.offset)
                    self.writes[Log.OUTCOMES].append(command)
                case WritePark(offset=offset, record=record):
                    note = read_note(received(record, 0, 0))[0]
                    assert isinstance(note, Park)
                    self.due[offset] = note.due
                    self.parking.add(offset)
                    self.writes[Log.PARKED].append(command)
                case WriteSettle():
                    self.writes[Log.PARKED].append(command)
                case WriteDead(offset=offset):
                    self.decided.add(offset)
                    self.writes[None].append(command)
                case Pause() | Read():
                    self.paused = isinstance(command, Pause)
                case _:
                    raise AssertionError(command)

    def _make_ready(self, waiting: Waiting) -> None:
        if not self.engine.may_start:
            return
        offset, others = waiting.offset, [*self.ready.values(), *self.calling.values()]
        assert offset not in self.kafka.known(), "an event whose outcome was in the log before the mark is called again"
        assert offset not in self.decided, "an event that ended is called again"
        assert all(other.lane != waiting.lane for other in others), "two calls of one lane overlap"
        assert waiting.event == _event(self.kafka.source[offset]), "an event came back as another"
        if waiting.parked:
            assert offset not in self.parking, "an event has its turn before its park is acknowledged"
            assert offset < self.read_at, "an event has its turn before the source has been read past it"
            assert self.due[offset] <= self.kafka.now, "an event has its turn before it is due"
            turns = sum(other.parked for other in others)
            assert turns < BOUNDS.turns, "more parked events are called at once than may be"
        self.ready[offset] = waiting

    # Writing.

    def land(self, log: Log | None) -> None:
        """Append the oldest write of a log, if there is one."""
        if not self.writes[log]:
            return
        write, engine, kafka = self.writes[log].popleft(), self.engine, self.kafka
        match write:
            case WriteOutcome(ended=ended):
                position = self._land_outcome(ended)
                self.landed[log].append(lambda: self._outcome_written(ended.offset, position))
            case WritePark(offset=offset, record=record):
                position = kafka.append_parked(record)
                self.landed[log].append(lambda: self._park_written(offset, position))
            case WriteSettle(offset=offset, record=record):
                assert offset in kafka.ended(), "an event is settled whose outcome is not in the log"
                position = kafka.append_parked(record)
                self.landed[log].append(lambda: engine.settle_written(offset, position))
            case WriteDead(offset=offset):
                kafka.dead.add(offset)
                self.landed[log].append(lambda: engine.dead_written(offset))

    def _land_outcome(self, ended: Ended) -> int:
        assert ended.outcome is not OutcomeKind.DEAD or ended.offset in self.kafka.dead, "dead without a letter"
        self.kafka.outcomes.append(ended)
        position = len(self.kafka.outcomes) - 1
        if self.kafka.owner is not self:
            self.kafka.hidden.add(position)
        return position

    def _outcome_written(self, offset: int, position: int) -> list[Command]:
        self.may_be_followed.add(offset)
        return self.engine.outcome_written(offset, position)

    def _park_written(self, offset: int, position: int) -> list[Command]:
        self.parking.discard(offset)
        return self.engine.park_written(offset, position)

    def acknowledge(self, log: Log | None) -> None:
        """Let the member hear of the oldest write that landed, if there is one."""
        if not self.landed[log]:
            return
        self._carry_out(self.landed[log].popleft()())

    def commit(self, *, trims: bool) -> None:
        """Commit what may be committed."""
        committable = self.engine.committable
        assert committable is not None
        self.kafka.committed = (committable.frontier, committable.metadata())
        if trims:
            self.kafka.deleted_below = max(self.kafka.deleted_below, self.engine.deletable(committable))

    # Checks.

    def check_committable(self) -> None:
        """Check what the next owner would find if this were committed and the member died now."""
        committable = self.engine.committable
        assert committable is not None
        frontier, kafka = committable.frontier, self.kafka
        start, epoch, outcomes_from = committable.parked_from, committable.parked_epoch, committable.outcomes_from
        assert start is not None
        assert epoch is not None
        assert outcomes_from is not None
        known, seen, truth = kafka.known(), kafka.ended(outcomes_from), kafka.table()
        settled = known | truth.keys()
        assert {each.offset for each in kafka.source[:frontier]} <= settled, "the frontier passed what is not settled"
        assert {at for at in known if at >= frontier} <= seen, "an outcome lies before where the next owner reads"
        found = {at: entry for at, entry in kafka.table(start, epoch).items() if at not in seen}
        assert not found.keys() & known, "a parked event that has ended would be called again"
        hidden = kafka.ended() - known
        waits = {at: entry for at, entry in truth.items() if at not in known}
        for each in (found, waits):
            for at in hidden:
                each.pop(at, None)
        assert found == waits, "the next owner would find other events parked than there are"
        assert kafka.deleted_below <= start, "what counts has been deleted"

    def finish(self) -> None:
        """Let all calls work and all writes be acknowledged until nothing is left to do."""
        for _ in range(1_000):
            for log in (Log.OUTCOMES, Log.PARKED, None):
                while self.writes[log] or self.landed[log]:
                    self.land(log)
                    self.acknowledge(log)
            for offset in sorted(self.ready):
                self.start(offset)
            for offset in sorted(self.calling):
                self.call_ends(offset, Applied(status=200))
            if self.may_read:
                self.read()
            elif not (self.ready or self.calling or self.writes_on_the_way):
                if self.engine.parked == 0 and self.read_at == len(self.kafka.source):
                    return
                self.tick(1_000_000)
        raise AssertionError("it does not come to an end")

    def check_nothing_is_left(self) -> None:
        """Check that memory, the view and the commit are those of an empty partition."""
        committable = self.engine.committable
        assert committable is not None
        assert committable.frontier == len(self.kafka.source), "everything is settled and the frontier lags behind"
        # What others wrote behind our last record is not known to us, and need not be.
        assert (committable.outcomes_from or 0) <= len(self.kafka.outcomes)
        assert (committable.parked_from or 0) <= len(self.kafka.parked)
        assert (self.engine.held, self.engine.parked, self.scratch.count, self.scratch.size) == (0, 0, 0, 0)


def _lane(record: Waiting | Unreadable) -> bytes | None:
    return record.lane if isinstance(record, Waiting) else None


def _event(record: Waiting | Unreadable) -> object:
    return record.event if isinstance(record, Waiting) else None

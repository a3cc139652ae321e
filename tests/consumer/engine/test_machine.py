"""The engine of a partition against a model of the two logs, with crashes at any moment (promises 4, 5, 7 and 8).

The model keeps what Kafka would: the source log, the outcomes log, the committed state. Members come and go; writes
of a crashed member may still land, or not. After every step the model checks what the promises say.
"""

from collections import defaultdict
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.engine.commands import Claim, Command, Mark, Pause, Read, ReadBack, Start, Survey, WriteOutcome
from consumer.engine.committed import Committed, read_committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Bounds, Ending, PartitionEngine, Skipped
from consumer.engine.takeover import HistoryEntry
from schemas.event import Environment, Event
from schemas.outcome import Applied, Ended, Ignored, Taken

LANES = (b"acme/one", b"acme/two", b"blue/one")


class PartitionMachine(RuleBasedStateMachine):
    """One partition, one member at a time, and what Kafka would keep."""

    def __init__(self) -> None:
        super().__init__()
        self.source: list[Waiting | Skipped] = []
        self.outcomes: list[Ended | Taken] = []
        self.committed = (0, "")
        self.landed: set[int] = set()  # offsets with an outcome in the log
        self.may_be_followed: dict[bytes, set[int]] = defaultdict(set)
        self.unread: list[Ended] = []  # outcomes that landed after the mark of the present member
        self.members = 0
        self.read_at = 0
        self.take_over()

    # The member.

    def take_over(self) -> None:
        """Begin a tenure and carry its takeover out to the end."""
        self.members += 1
        for ended in self.unread:
            self.know(ended)
        self.unread.clear()
        offset, metadata = self.committed
        self.engine = PartitionEngine(
            read_committed(offset, metadata), f"member-{self.members}", Bounds(events=6, bytes=10_000, distance=12)
        )
        self.read_at = offset
        self.paused = False
        self.running: dict[int, Waiting] = {}
        self.unacknowledged: list[Ended] = []
        self.started_here: set[int] = set()
        commands = self.engine.begin()
        while not self.engine.running:
            commands = self.step(commands[0])
        assert commands == [Read()]

    def step(self, command: Command) -> list[Command]:
        """Carry out one command of the takeover."""
        match command:
            case Survey():
                self.engine.history_read(self.entries(0, len(self.outcomes)))
                return self.engine.surveyed(len(self.outcomes))
            case Claim(offset=offset, metadata=metadata):
                self.committed = (offset, metadata)
                return self.engine.claimed()
            case Mark(taken=taken):
                self.outcomes.append(taken)
                return self.engine.marked(len(self.outcomes) - 1)
            case ReadBack(start=start, until=until):
                self.engine.history_read(self.entries(start, until + 1))
                return self.engine.read_back()
            case _:
                raise AssertionError(command)

    def entries(self, start: int, stop: int) -> list[HistoryEntry]:
        """Give a stretch of the outcomes log."""
        return [HistoryEntry(position=at, record=self.outcomes[at]) for at in range(start, stop)]

    def carry_out(self, commands: list[Command]) -> None:
        """Carry out commands of a running engine."""
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    self.start(waiting)
                case WriteOutcome(ended=ended):
                    self.unacknowledged.append(ended)
                case Pause():
                    self.paused = True
                case Read():
                    self.paused = False
                case _:
                    raise AssertionError(command)

    def start(self, waiting: Waiting) -> None:
        """Check what may be checked when a call starts."""
        assert waiting.offset not in self.landed, (
            "an event whose outcome was in the log before the mark is called again"
        )
        assert waiting.offset not in self.started_here, "an event is started twice by one member"
        assert all(other.lane != waiting.lane for other in self.running.values()), "two calls of one lane overlap"
        before = [
            record.offset
            for record in self.source[: waiting.offset]
            if isinstance(record, Waiting) and record.lane == waiting.lane
        ]
        assert set(before) <= self.may_be_followed[waiting.lane], "a later event starts before an earlier one ended"
        self.started_here.add(waiting.offset)
        self.running[waiting.offset] = waiting

    # What happens.

    @rule(lane=st.sampled_from(LANES), garbage=st.booleans())
    def webhook_arrives(self, lane: bytes, *, garbage: bool) -> None:
        """Append a record to the source log."""
        offset = len(self.source)
        self.source.append(Skipped(offset=offset) if garbage else _waiting(offset, lane))

    @precondition(lambda self: not self.paused and self.read_at < len(self.source))
    @rule(most=st.integers(1, 5))
    def batch_is_read(self, most: int) -> None:
        """Give the engine the next records."""
        batch = self.source[self.read_at : self.read_at + most]
        self.read_at += len(batch)
        self.carry_out(self.engine.records_read(batch))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), ignored=st.booleans())
    def call_ends(self, data: st.DataObject, *, ignored: bool) -> None:
        """End one of the calls in flight."""
        waiting = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        if not ignored:
            self.may_be_followed[waiting.lane].add(waiting.offset)
        result = Ignored(reason="type_not_synced") if ignored else Applied(status=200)
        self.carry_out(self.engine.call_ended(waiting, Ending(result=result, attempts=1, called=1, ended=2)))

    @precondition(lambda self: self.unacknowledged)
    @rule()
    def outcome_is_acknowledged(self) -> None:
        """Let the oldest outcome land and be acknowledged."""
        ended = self.unacknowledged.pop(0)
        self.land(ended)
        self.carry_out(self.engine.outcome_written(ended.offset, len(self.outcomes) - 1))

    def land(self, ended: Ended) -> None:
        """Append an outcome to the log."""
        self.outcomes.append(ended)
        self.know(ended)

    def know(self, ended: Ended) -> None:
        """Note that the present member knows this outcome."""
        self.landed.add(ended.offset)
        record = self.source[ended.offset]
        assert isinstance(record, Waiting)
        self.may_be_followed[record.lane].add(ended.offset)

    @rule()
    def frontier_is_committed(self) -> None:
        """Commit, as the driver does at its interval."""
        committable = self.engine.committable
        assert committable is not None
        self.committed = (committable.frontier, committable.metadata())

    @rule(landing=st.integers(0, 3))
    def member_dies(self, landing: int) -> None:
        """Kill the member; some of its unacknowledged outcomes land all the same, before the next one's mark."""
        for ended in self.unacknowledged[:landing]:
            self.land(ended)
        self.take_over()

    @rule()
    def late_write_lands(self) -> None:
        """Let a write of a dead member land after the mark: nobody reads it back, which costs at most a repeat."""
        late = self.unacknowledged[:1]
        self.take_over()
        self.outcomes.extend(late)
        self.unread.extend(late)

    @rule()
    def operator_resets_the_offset(self) -> None:
        """Set the group back to the beginning, as Kafka's own tools do: without metadata."""
        self.committed = (0, "")
        self.take_over()

    # What always holds.

    @invariant()
    def frontier_passes_only_what_is_settled(self) -> None:
        """Check promise 5, and that the next owner would know everything that ended above the frontier."""
        committable = self.engine.committable
        assert committable is not None
        ended = {record.offset for record in self.outcomes if isinstance(record, Ended)}
        below = {record.offset for record in self.source[: committable.frontier] if isinstance(record, Waiting)}
        assert below <= ended, "the frontier has passed an event whose outcome is not in the log"
        self.check_read_back(committable)

    def check_read_back(self, committable: Committed) -> None:
        """Check that every outcome acknowledged above the frontier lies where the next owner would look."""
        found = {
            record.offset for record in self.outcomes[committable.outcomes_from or 0 :] if isinstance(record, Ended)
        }
        above = {offset for offset in self.landed if offset >= committable.frontier}
        assert above <= found, "an outcome lies before the position from which the next owner reads back"

    def teardown(self) -> None:
        """Let everything finish: nothing may be left over."""
        while self.running or self.unacknowledged or self.read_at < len(self.source):
            while self.unacknowledged:
                self.outcome_is_acknowledged()
            for waiting in [*self.running.values()]:
                del self.running[waiting.offset]
                self.may_be_followed[waiting.lane].add(waiting.offset)
                ending = Ending(result=Applied(status=200), attempts=1, called=1, ended=2)
                self.carry_out(self.engine.call_ended(waiting, ending))
            if not self.paused:
                batch = self.source[self.read_at :][:5]
                self.read_at += len(batch)
                self.carry_out(self.engine.records_read(batch))
        ended = {record.offset for record in self.outcomes if isinstance(record, Ended)}
        assert ended == {record.offset for record in self.source if isinstance(record, Waiting)}, "an event was lost"
        committable = self.engine.committable
        assert committable is not None
        assert committable.frontier == len(self.source), "everything is settled and the frontier lags behind"


def _waiting(offset: int, lane: bytes) -> Waiting:
    tenant, connection = lane.decode().split("/")
    event = Event(
        id=f"event-{offset}",
        tenant=tenant,
        environment=Environment.SANDBOX,
        type="financial_connection.sync_data",
        connection=connection,
        aggregator="plaid",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        verification="signature",
        body=b"{}",
    )
    return Waiting(offset=offset, lane=lane, size=100, event=event)


TestPartitionMachine = PartitionMachine.TestCase
TestPartitionMachine.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)

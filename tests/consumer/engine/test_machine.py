"""The engine of a partition against a model of its logs, with crashes at any moment (promises 4, 5, 7, 8 and 12).

The model keeps what Kafka would: the source, the outcomes, the parked log, the dead letters, the committed state.
Members come and go; writes of one that died may land before the next one's mark, after it, or never. After every step
the model checks what the promises say, and that what may be committed would lead the next owner to the whole truth.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.engine.commands import Log
from consumer.engine.retry import Failed
from schemas.outcome import Applied, HandlerResult, Ignored
from tests.consumer.engine.given import unreadable, waiting
from tests.consumer.engine.partition_model import Kafka, Member

LANES = (b"acme/one", b"acme/two", b"blue/one")
RESULTS: tuple[HandlerResult | Failed, ...] = (
    Applied(status=200),
    Applied(status=204),
    Ignored(reason="type_not_synced"),
    Failed(error="503", jitter=0, status=503),
    Failed(error="503", jitter=0, status=503, retry_after=30),
    Failed(error="401", jitter=0, status=401, permanent=True),
)
LOGS = (Log.OUTCOMES, Log.PARKED, None)
RECORDS = st.tuples(st.sampled_from((*LANES, *LANES, *LANES, None)), st.sampled_from((None, None, b"1", b"2")))
"""Lanes, or garbage, and some bodies that are equal."""
CALLS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(RESULTS)), min_size=2, max_size=6)
"""Which of those that may be called or are under way, and how it ends."""
COUNTS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
"""So many writes to each log."""


class PartitionMachine(RuleBasedStateMachine):
    """One partition, one member at a time, and what Kafka would keep.

    The rules are coarse: with fine ones a run hardly ever gets anything to its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kafka = Kafka()
        self.member = self._take_over()
        self.replaced: list[Member] = []

    # What goes on.

    @initialize(arrivals=st.lists(RECORDS, min_size=10, max_size=40))
    def source_is_filled(self, arrivals: list[tuple[bytes | None, bytes | None]]) -> None:
        """Begin with a backlog."""
        self._arrive(arrivals)

    @rule(arrivals=st.lists(RECORDS, max_size=8), most=st.integers(0, 8))
    def webhooks_arrive(self, arrivals: list[tuple[bytes | None, bytes | None]], most: int) -> None:
        """Append to the source log, and let the member read, unless it has paused."""
        self._arrive(arrivals)
        if self.member.may_read:
            self.member.read(most)

    def _arrive(self, arrivals: list[tuple[bytes | None, bytes | None]]) -> None:
        for lane, body in arrivals:
            offset = len(self.kafka.source)
            self.kafka.source.append(unreadable(offset) if lane is None else waiting(offset, lane, size=100, body=body))

    @rule(chosen=st.lists(st.integers(0, 5), min_size=1, max_size=5))
    def there_is_room_for_calls(self, chosen: list[int]) -> None:
        """Start what may be started, unless it is superseded."""
        for number in chosen:
            self._start(number)

    @rule(calls=CALLS)
    def calls_end(self, calls: list[tuple[int, HandlerResult | Failed]]) -> None:
        """End some of the calls in flight."""
        for number, result in calls:
            self._end(number, result)

    @rule(lands=COUNTS, hears=COUNTS)
    def writes_land(self, lands: tuple[int, int, int], hears: tuple[int, int, int]) -> None:
        """Append the oldest writes to their logs; of some the member hears."""
        for log, landing, hearing in zip(LOGS, lands, hears, strict=True):
            for _ in range(landing):
                self.member.land(log)
            for _ in range(hearing):
                self.member.acknowledge(log)

    @rule(calls=CALLS, counts=COUNTS, seconds=st.sampled_from((0, 1, 10, 100)))
    def all_of_it_goes_on(
        self, calls: list[tuple[int, HandlerResult | Failed]], counts: tuple[int, int, int], seconds: int
    ) -> None:
        """Read, call and write, while time passes and parked events become due."""
        if self.member.may_read:
            self.member.read()
        self.member.tick(seconds * 1000)
        for number, result in calls:
            self._start(number)
            self._end(number, result)
        self.writes_land(counts, counts)

    @rule(seconds=st.sampled_from((1, 10, 100)))
    def time_passes(self, seconds: int) -> None:
        """Let what is parked become due."""
        self.member.tick(seconds * 1000)

    @rule(trims=st.booleans())
    def frontier_is_committed(self, *, trims: bool) -> None:
        """Commit, as the driver does at its interval, and delete what is behind of the parked log."""
        self.member.commit(trims=trims)

    def _start(self, number: int) -> None:
        ready = sorted(self.member.ready)
        if ready and self.member.engine.may_start:
            self.member.start(ready[number % len(ready)])

    def _end(self, number: int, result: HandlerResult | Failed) -> None:
        calling = sorted(self.member.calling)
        if calling:
            self.member.call_ends(calling[number % len(calling)], result)

    # Members.

    @rule(counts=COUNTS, steps=st.integers(0, 6))
    def member_dies(self, counts: tuple[int, int, int], steps: int) -> None:
        """Kill the member: some of its writes land all the same; the next may die while it takes over, too."""
        self._land(self.member, counts)
        Member(self.kafka).take_over(most=steps)
        self._change_members()

    @precondition(lambda self: self.replaced)
    @rule(counts=COUNTS, which=st.integers(0, 5))
    def late_writes_land(self, counts: tuple[int, int, int], which: int) -> None:
        """Let writes of a member that was replaced land behind somebody else's mark: what it parks is void."""
        self._land(self.replaced[which % len(self.replaced)], counts)

    @rule()
    def member_lets_go(self) -> None:
        """Ask the member to start nothing any more; what is under way may end."""
        self.member.engine.let_go()

    @rule()
    def operator_resets_the_offset(self) -> None:
        """Set the group back to the beginning, as Kafka's own tools do: without metadata."""
        self.kafka.committed = (0, "")
        self._change_members()

    def _change_members(self) -> None:
        self.replaced.append(self.member)
        self.member = self._take_over()

    def _take_over(self) -> Member:
        member = Member(self.kafka)
        member.take_over()
        return member

    def _land(self, member: Member, counts: tuple[int, int, int]) -> None:
        for log, count in zip(LOGS, counts, strict=True):
            for _ in range(count):
                member.land(log)

    # What always holds.

    @invariant()
    def what_may_be_committed_leads_to_the_truth(self) -> None:
        """Check promises 5 and 7 for whoever comes next."""
        self.member.check_committable()

    def teardown(self) -> None:
        """Let everything finish: nothing may be lost, left over, or remembered for ever."""
        if not self.member.engine.may_start:
            self._change_members()
        self.member.finish()
        self.kafka.check_all_is_over()
        self.member.check_nothing_is_left()


TestPartitionMachine = PartitionMachine.TestCase
TestPartitionMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)

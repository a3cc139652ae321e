"""The frontier against a naive model that remembers every offset."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.engine.frontier import Frontier


class FrontierMachine(RuleBasedStateMachine):
    """Read with gaps, skip, and settle in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.start = 7
        self.frontier = Frontier(self.start)
        self.next = self.start
        self.unsettled: dict[int, int] = {}
        self.log_end = 0

    @rule(gap=st.integers(0, 2), grown=st.integers(0, 3))
    def read(self, gap: int, grown: int) -> None:
        """Read an event; offsets may be missing, and the outcomes log may have grown meanwhile."""
        self.log_end += grown
        offset = self.next + gap
        self.frontier.read(offset, self.log_end)
        self.unsettled[offset] = self.log_end
        self.next = offset + 1

    @rule(gap=st.integers(0, 2))
    def skip(self, gap: int) -> None:
        """Read a record that needs nothing."""
        self.frontier.skip(self.next + gap)
        self.next += gap + 1

    @precondition(lambda self: self.unsettled)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle any of those read."""
        offset = data.draw(st.sampled_from(sorted(self.unsettled)))
        del self.unsettled[offset]
        self.frontier.settle(offset)

    @invariant()
    def is_the_lowest_that_is_not_settled(self) -> None:
        """Check promise 5, and what goes with it: the log's end when that event was read, and the distance."""
        lowest = min(self.unsettled, default=None)
        assert self.frontier.offset == (self.next if lowest is None else lowest)
        assert self.frontier.outcomes_end == (None if lowest is None else self.unsettled[lowest])
        assert self.frontier.read_position == self.next
        assert self.frontier.distance == self.next - self.frontier.offset

    @invariant()
    def remembers_nothing_that_it_has_passed(self) -> None:
        """Check that memory is bounded by the distance."""
        assert len(self.frontier._unsettled) <= self.frontier.distance  # noqa: SLF001 - nothing public says it
        assert len(self.frontier._settled) <= self.frontier.distance  # noqa: SLF001 - likewise


TestFrontier = FrontierMachine.TestCase
TestFrontier.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)

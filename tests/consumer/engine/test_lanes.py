"""Lanes against a naive model: a list of everything that waits."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.engine.lanes import Lanes, Waiting
from tests.consumer.fakes import event

NAMES = (b"acme/one", b"acme/two", b"blue/one")


class LanesMachine(RuleBasedStateMachine):
    """Add and advance in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.waiting: list[Waiting] = []
        self.heads: dict[bytes, Waiting] = {}
        self.offset = 0

    @rule(lane=st.sampled_from(NAMES), size=st.integers(0, 1000))
    def add(self, lane: bytes, size: int) -> None:
        """Add an event: it may start exactly if its lane is empty."""
        self.offset += 1
        waiting = Waiting(offset=self.offset, lane=lane, size=size, event=event(self.offset))
        may_start = lane not in self.heads
        if may_start:
            self.heads[lane] = waiting
        self.waiting.append(waiting)
        assert self.lanes.add(waiting) is may_start

    @precondition(lambda self: self.heads)
    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        """Finish a lane's head: the lane's next event may start, in the order in which they came."""
        lane = data.draw(st.sampled_from(sorted(self.heads)))
        self.waiting.remove(self.heads.pop(lane))
        following = next((waiting for waiting in self.waiting if waiting.lane == lane), None)
        assert self.lanes.advance(lane) is following
        if following is not None:
            self.heads[lane] = following

    @invariant()
    def counts_what_it_holds(self) -> None:
        """Check what the bounds of memory rest on, and that an empty lane leaves nothing behind."""
        assert self.lanes.events == len(self.waiting)
        assert self.lanes.bytes == sum(waiting.size for waiting in self.waiting)
        assert self.lanes._lanes.keys() == self.heads.keys()  # noqa: SLF001 - nothing public says it


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)

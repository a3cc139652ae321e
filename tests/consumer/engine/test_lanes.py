"""Lanes against a naive model: a list of everything that waits."""

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.engine.lanes import Lanes, Waiting
from schemas.event import Environment
from tests.consumer.engine.given import waiting

NAMES = (b"acme/one", b"acme/two", b"blue/one")


class LanesMachine(RuleBasedStateMachine):
    """Add, advance and take out in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.waiting: list[Waiting] = []
        self.offset = 0

    def of(self, lane: bytes) -> list[Waiting]:
        """List what waits in a lane, the head first."""
        return [each for each in self.waiting if each.lane == lane]

    @rule(lane=st.sampled_from(NAMES), size=st.integers(0, 1000), body=st.sampled_from((b"1", b"2")))
    def add(self, lane: bytes, size: int, body: bytes) -> None:
        """Append an event: it is told how many wait behind the head, and is the head itself if none."""
        self.offset += 1
        added = waiting(self.offset, lane, size=size, body=body)
        assert self.lanes.add(added) == len(self.of(lane))
        self.waiting.append(added)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        """Drop a lane's first events: the next one is given, in the order in which they came."""
        lane = data.draw(st.sampled_from(sorted({each.lane for each in self.waiting})))
        here = self.of(lane)
        heads = data.draw(st.integers(1, len(here)))
        for each in here[:heads]:
            self.waiting.remove(each)
        assert self.lanes.advance(lane, heads) is next(iter(here[heads:]), None)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def take_behind(self, data: st.DataObject) -> None:
        """Take out all but a lane's head, in order."""
        lane = data.draw(st.sampled_from(sorted({each.lane for each in self.waiting})))
        behind = self.of(lane)[1:]
        assert self.lanes.take_behind(lane) == behind
        self.waiting = [each for each in self.waiting if each not in behind]

    @invariant()
    def knows_what_is_covered(self) -> None:
        """Check that exactly the first events are given of which each has an equal one behind it."""
        for lane in {each.lane for each in self.waiting}:
            bodies = [each.event.body for each in self.of(lane)]
            covered = 0
            while bodies[covered] in bodies[covered + 1 :]:
                covered += 1
            assert self.lanes.covered(lane) == self.of(lane)[:covered]

    @invariant()
    def counts_what_it_holds(self) -> None:
        """Check what the bounds of memory and a tenant's share rest on; an empty lane leaves nothing behind."""
        assert self.lanes.events == len(self.waiting)
        assert self.lanes.bytes == sum(each.size for each in self.waiting)
        assert {lane for lane in NAMES if lane in self.lanes} == {each.lane for each in self.waiting}
        held = Counter(each.event.tenant for each in self.waiting)
        assert [self.lanes.held_by(tenant) for tenant in ("acme", "blue")] == [held["acme"], held["blue"]]


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_body_signed_in_one_environment_is_not_covered_by_the_same_in_the_other() -> None:
    """Each has its own address and keys: one call does not do for both."""
    lanes = Lanes()
    first, second = waiting(0, body=b"same"), waiting(1, body=b"same")
    lanes.add(first)
    lanes.add(replace(second, event=replace(second.event, environment=Environment.PRODUCTION)))
    assert lanes.covered(first.lane) == []
    lanes.add(waiting(2, body=b"same"))
    assert lanes.covered(first.lane) == [first]


def test_what_was_sent_again_for_another_group_covers_nothing() -> None:
    """It is ignored here: whatever it covered would never be called. What it was is covered as any other."""
    first = waiting(1, body=b"same")
    again = replace(first.event, generation=1, group="other")
    lanes = Lanes()
    lanes.add(first)
    lanes.add(replace(first, offset=2, event=again))
    assert lanes.covered(first.lane) == []
    lanes.add(replace(first, offset=3, event=replace(again, group=None)))
    assert [each.offset for each in lanes.covered(first.lane)] == [1, 2]

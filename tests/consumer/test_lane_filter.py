"""The lane filter: it may send somebody to the database in vain, seldom, and never keeps anybody from going there."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consumer.lane_filter import LaneFilter

LANES = [b"acme/%d" % number for number in range(20_000)]


def filled(lanes: list[bytes]) -> LaneFilter:
    """Count an event of each lane, as the scratch does it."""
    lane_filter = LaneFilter()
    for number, lane in enumerate(lanes, 1):
        if lane_filter.add(lane):
            lane_filter.count_anew(lanes[:number])
    return lane_filter


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_what_is_parked_is_never_denied(steps: list[tuple[bool, int]]) -> None:
    """An event of a parked lane that is taken for a free one would overtake those that wait."""
    lane_filter, parked = LaneFilter(), Counter[bytes]()
    for adds, number in steps:
        lane = LANES[number]
        if adds:
            lane_filter.add(lane)
            parked[lane] += 1
        elif parked[lane]:
            lane_filter.remove(lane)
            parked[lane] -= 1
        assert all(lane_filter.may_hold(each) for each in parked if parked[each])
    for lane in parked.elements():
        lane_filter.remove(lane)
    assert not any(lane_filter.may_hold(lane) for lane in parked)


def test_hardly_any_lane_that_is_not_parked_asks_the_database() -> None:
    """However many others are: this is what makes events cost the same beside any number of parked ones."""
    lane_filter = filled(LANES)
    assert all(lane_filter.may_hold(lane) for lane in LANES)
    others = [b"other/%d" % number for number in range(20_000)]
    assert sum(lane_filter.may_hold(lane) for lane in others) < 0.1 * len(others)


def test_what_has_been_settled_leaves_room() -> None:
    """A partition in which lanes come and go for weeks needs no larger filter than what waits at once."""
    lane_filter = LaneFilter()
    for lane in LANES:
        assert not lane_filter.add(lane)
        lane_filter.remove(lane)


def test_a_lane_of_more_events_than_are_counted_is_never_denied() -> None:
    """A count that wrapped around or ran out would let its lane go."""
    lane_filter, events = LaneFilter(), 2**16 + 5
    for _ in range(events):
        lane_filter.add(b"hot")
    for _ in range(events - 1):
        lane_filter.remove(b"hot")
    assert lane_filter.may_hold(b"hot")

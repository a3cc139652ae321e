"""What of a range is accounted for: the least that must be right before anything is sent again."""

from hypothesis import given
from hypothesis import strategies as st

from broker.group_offsets import CommittedOffset
from consumer.accounted import Accounted, ParkedFold, settled_stretches
from consumer.engine.committed import Committed
from schemas.outcome import Taken
from schemas.parked import Park, Settle
from tests.consumer.engine.given import park

STRETCHES = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda bounds: range(min(bounds), max(bounds)))


@given(stretch=STRETCHES, added=st.frozensets(st.integers(0, 60)))
def test_missing_is_what_lies_in_the_stretch_and_was_not_added(stretch: range, added: frozenset[int]) -> None:
    """A bit for each offset, against a set; another partition has bits of its own."""
    accounted = Accounted({0: stretch, 1: range(100)})
    for offset in added:
        accounted.add(0, offset)
        accounted.add(2, offset)
    assert {offset for offset in range(70) if accounted.missing(0, offset)} == set(stretch) - added
    assert accounted.missing(1, 99)
    assert not accounted.missing(2, 5)


@given(stretch=STRETCHES, frontier=st.integers(0, 60))
def test_what_the_frontier_has_not_passed_is_never_missing(stretch: range, frontier: int) -> None:
    """It is in progress; and of a partition without a commit everything is."""
    committed = {0: CommittedOffset(offset=frontier, metadata="")}
    settled = settled_stretches({0: stretch, 1: range(5)}, committed)
    assert [*settled] == [0]
    assert [*settled[0]] == [offset for offset in stretch if offset < frontier]


@given(stretch=STRETCHES, start=st.integers(0, 60), frontier=st.integers(0, 60))
def test_what_came_before_the_group_is_never_missing(stretch: range, start: int, frontier: int) -> None:
    """It was never to have it: a replay would send all that there was."""
    metadata = Committed(frontier=frontier, epoch=1, events_from=min(start, frontier)).metadata()
    settled = settled_stretches({0: stretch}, {0: CommittedOffset(offset=frontier, metadata=metadata)})
    assert [*settled[0]] == [offset for offset in stretch if start <= offset < frontier]


def test_a_park_of_a_replaced_member_accounts_for_nothing() -> None:
    """Its event was never settled by it: whoever took over handles it, or lost it."""
    fold = ParkedFold(2)
    old, new = park(offset=7, epoch=2), park(offset=8, epoch=3)
    notes: list[Park | Settle | Taken] = [old, Taken(epoch=3, member="me"), old, new, Settle(offset=9)]
    assert [fold.parked(note) for note in notes] == [7, None, None, 8, 9]
    assert fold.parked(Taken(epoch=1, member="late")) is None
    assert fold.parked(new) == 8

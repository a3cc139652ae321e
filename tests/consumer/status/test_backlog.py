"""The backlog is what a naive reading of the logs leaves unsettled."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.status.backlog import Backlog, Born

offsets = st.integers(0, 5)
told = st.one_of(
    st.tuples(st.just("park"), offsets, st.integers(1, 3)),
    st.tuples(st.just("settle"), offsets, st.just(0)),
    st.tuples(st.just("taken"), st.just(0), st.integers(1, 3)),
)


def born(offset: int) -> Born:
    """Give an event its origin."""
    return Born(f"event-{offset}", "acme", float(offset))


@given(st.sets(offsets), st.lists(told, max_size=20), st.lists(st.tuples(offsets, st.booleans())))
def test_what_is_unsettled_is_what_neither_ended_nor_was_settled(
    read: set[int], journal: list[tuple[str, int, int]], outcomes: list[tuple[int, bool]]
) -> None:
    """Each event once; parks of members that had been replaced, and outcomes of other events, change nothing."""
    backlog = Backlog(epoch=1)
    for offset in read:
        backlog.event(offset, born(offset))
    parked: set[int] = set()
    settled: set[int] = set()
    epoch = 1
    for what, offset, number in journal:
        if what == "park":
            backlog.park(number, offset, born(offset))
            if number >= epoch:
                epoch = number
                parked.add(offset)
        elif what == "settle":
            backlog.settle(offset)
            parked.discard(offset)
            settled.add(offset)
        else:
            backlog.taken(number)
            epoch = max(epoch, number)
    for offset, own in outcomes:
        backlog.ended(offset, f"event-{offset}" if own else "another")
    ended = {offset for offset, own in outcomes if own}
    assert backlog.parked == len(parked - ended)
    expected = (parked | (read - settled)) - ended
    assert sorted(backlog.unsettled()) == [born(offset) for offset in sorted(expected)]

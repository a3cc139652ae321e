"""Where reading starts, and what can never be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.history import History, starting_offset

HISTORIES = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda ends: History(low=min(ends), high=max(ends)))


@pytest.mark.parametrize(
    ("wanted", "start", "gone"),
    [
        pytest.param(None, 10, range(0), id="never committed: from the earliest record, and nothing is missed"),
        pytest.param(10, 10, range(0), id="the earliest record is next"),
        pytest.param(15, 15, range(0), id="somewhere in between"),
        pytest.param(20, 20, range(0), id="everything is settled"),
        pytest.param(7, 10, range(7, 10), id="three have expired"),
        pytest.param(25, 10, range(20, 25), id="the log was cut or made anew: all that is in it is new"),
    ],
)
def test_reading_starts_at_the_frontier_or_where_history_begins(wanted: int | None, start: int, gone: range) -> None:
    """The records of this partition are those at 10 to 19."""
    assert starting_offset(wanted, History(low=10, high=20)) == (start, gone)


@given(wanted=st.none() | st.integers(0, 60), history=HISTORIES)
def test_no_record_is_passed_over_unnamed(wanted: int | None, history: History) -> None:
    """Reading starts within the log, and what is named as gone is exactly what the log does not hold."""
    start, gone = starting_offset(wanted, history)
    assert history.low <= start <= history.high
    assert not {*gone} & {*range(history.low, history.high)}
    if wanted is not None:
        assert {*range(wanted, start)} <= {*gone}
        assert {*range(history.low, min(start, wanted))} == {*range(history.low, start)} - {*gone}

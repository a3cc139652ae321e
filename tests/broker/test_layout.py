"""The layout while a topic gets more partitions: what a record's key says of where it lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.layout import Layout, Standing
from broker.partitioner import partition_of

LAYOUTS = st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda counts: Layout(old=min(counts), new=max(counts)))


@given(layout=LAYOUTS, key=st.binary(min_size=1))
def test_what_a_publisher_of_either_layout_writes_is_told_apart_wherever_that_matters(
    layout: Layout, key: bytes
) -> None:
    """A key that moves is misplaced in its old place and moved in in its new one; one that does not stayed."""
    before, after = partition_of(key, layout.old), partition_of(key, layout.new)
    if before == after:
        assert layout.standing(key, before) is Standing.STAYED
    else:
        assert layout.standing(key, before) is Standing.MISPLACED
        assert layout.standing(key, after) is Standing.MOVED_IN


@given(layout=LAYOUTS, key=st.binary(min_size=1), partition=st.integers(0, 19))
def test_what_lies_where_neither_layout_puts_it_is_misplaced(layout: Layout, key: bytes, partition: int) -> None:
    """Some publisher chose by itself; what it wrote has to end like all that lies in the wrong place."""
    if partition not in {partition_of(key, layout.old), partition_of(key, layout.new)}:
        assert layout.standing(key, partition) is Standing.MISPLACED


@pytest.mark.parametrize("key", [None, b""])
def test_what_has_no_key_has_no_lane_that_could_move(key: bytes | None) -> None:
    """It is no event, and goes to the dead letters from wherever it lies."""
    assert Layout(old=3, new=5).standing(key, 0) is Standing.STAYED


def test_keys_move_only_with_more_partitions() -> None:
    """Kafka takes none away; what has the same count is as it was."""
    assert Layout(old=3, new=4).moves_keys
    assert not Layout(old=3, new=3).moves_keys

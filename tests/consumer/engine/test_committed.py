"""What is committed beside the frontier, as the next owner reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.committed import Committed, read_committed
from schemas.errors import UnreadableRecord

NUMBERS = st.integers(0, 2**62)


@given(frontier=NUMBERS, epoch=NUMBERS, outcomes_from=st.none() | NUMBERS)
def test_what_one_owner_commits_the_next_one_reads(frontier: int, epoch: int, outcomes_from: int | None) -> None:
    """Whatever the numbers, unknown positions included."""
    committed = Committed(frontier=frontier, epoch=epoch, outcomes_from=outcomes_from)
    assert read_committed(frontier, committed.metadata()) == committed


@given(epoch=NUMBERS, outcomes_from=NUMBERS)
def test_the_metadata_does_not_outgrow_what_kafka_keeps(epoch: int, outcomes_from: int) -> None:
    """Brokers take 4,096 bytes unless told otherwise; the frontier's distance does not matter."""
    assert len(Committed(frontier=0, epoch=epoch, outcomes_from=outcomes_from).metadata()) < 100


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_metadata_of_others_says_nothing(metadata: str) -> None:
    """An operator's tool, or another program's own: only the frontier counts."""
    assert read_committed(5, metadata) == Committed(frontier=5, epoch=0, outcomes_from=None)


@pytest.mark.parametrize("metadata", ["", "{}", '{"epoch":-1,"x":1}', '{"epoch":1,"x":-1}', '{"epoch":"1e3","x":1}'])
def test_broken_metadata_says_nothing(metadata: str) -> None:
    """To guess would be to skip or repeat."""
    assert read_committed(5, metadata) == Committed(frontier=5, epoch=0, outcomes_from=None)


def test_metadata_of_a_later_version_stops_the_takeover() -> None:
    """And says what to do; a field that is new in our own version is no reason."""
    with pytest.raises(UnreadableRecord, match=r"version 2.*upgrade") as raised:
        read_committed(5, '{"v":2,"epoch":3,"x":4}')
    assert raised.value.reason == "unknown-version"
    assert read_committed(5, '{"v":1,"epoch":3,"x":4,"p":9}') == Committed(frontier=5, epoch=3, outcomes_from=4)

"""What is committed beside the frontier, as the next owner reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.committed import Committed, begun_at, read_committed
from schemas.errors import UnreadableRecord

NUMBERS = st.integers(0, 2**62)


COMMITTED = st.builds(
    Committed,
    frontier=st.integers(2**61, 2**62),
    epoch=NUMBERS,
    outcomes_from=st.none() | NUMBERS,
    parked_from=st.none() | NUMBERS,
    parked_epoch=st.none() | NUMBERS,
    events_from=st.none() | st.integers(0, 2**61),
)


@given(COMMITTED)
def test_what_one_owner_commits_the_next_one_reads(committed: Committed) -> None:
    """Whatever the numbers, unknown positions included."""
    assert read_committed(committed.frontier, committed.metadata()) == committed


@given(COMMITTED)
def test_the_metadata_does_not_outgrow_what_kafka_keeps(committed: Committed) -> None:
    """Brokers take 4,096 bytes unless told otherwise; neither the frontier's distance nor what is parked matters."""
    assert len(committed.metadata()) < 150


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
    with pytest.raises(UnreadableRecord, match=r"version 3.*upgrade") as raised:
        read_committed(5, '{"v":3,"epoch":3,"x":4}')
    assert raised.value.reason == "unknown-version"
    assert read_committed(5, '{"v":2,"epoch":3,"x":4,"new":9}') == Committed(frontier=5, epoch=3, outcomes_from=4)


def test_metadata_of_the_version_before_is_read() -> None:
    """It knew nothing of parked events, and so nothing was parked: the log is read from its beginning."""
    assert read_committed(5, '{"v":1,"epoch":3,"x":4}') == Committed(frontier=5, epoch=3, outcomes_from=4)


def test_a_group_that_begins_somewhere_has_had_no_owner() -> None:
    """The first takeover reads both logs from their beginning, as where nothing is committed."""
    assert read_committed(5, begun_at(5)) == Committed(frontier=5, epoch=0, events_from=5)


def test_a_log_that_was_made_anew_knows_nothing_of_the_start_in_the_old_one() -> None:
    """The frontier is in front of it then; else a new log's first events would be taken for none of the group's."""
    assert read_committed(4, begun_at(5)) == Committed(frontier=4, epoch=0)


def test_metadata_of_a_release_that_knew_no_start_is_read_as_before() -> None:
    """All that the source holds is the group's then."""
    known = Committed(frontier=5, epoch=3, outcomes_from=4, parked_from=6, parked_epoch=2)
    assert read_committed(5, '{"v":2,"epoch":3,"x":4,"p":6,"e":2}') == known
    assert known.metadata() == '{"v":2,"epoch":3,"x":4,"p":6,"e":2}'

"""Outcome records: they survive the log, stay small, and what a release does not know stops it."""

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UnreadableRecord
from schemas.outcome import MOST, VERSION, Ended, OutcomeKind, Taken, read_outcome, write_outcome

MOMENTS = st.integers(0, 2**53)
TEXT = st.text()
ENDED = st.builds(
    Ended,
    offset=st.integers(0, MOST),
    id=TEXT,
    generation=st.integers(0, 999_999_999),
    outcome=st.sampled_from(OutcomeKind),
    reason=st.none() | TEXT,
    attempts=st.integers(0, 2**31),
    status=st.none() | st.integers(100, 599),
    received=MOMENTS,
    called=st.none() | MOMENTS,
    ended=MOMENTS,
    epoch=st.integers(0, MOST),
    member=TEXT,
)
TAKEN = st.builds(Taken, epoch=st.integers(1, MOST), member=TEXT)

TYPICAL = Ended(
    offset=12_345_678,
    id=str(UUID(int=2**127)),
    outcome=OutcomeKind.APPLIED,
    attempts=1,
    status=200,
    received=1_790_000_000_000,
    called=1_790_000_000_040,
    ended=1_790_000_000_310,
    epoch=17,
    member="fuse-sync-consumer-6c9f-7",
)


@given(ENDED | TAKEN)
def test_every_record_is_read_as_it_was_written(record: Ended | Taken) -> None:
    """Of either kind, with all that may be absent."""
    assert read_outcome(write_outcome(record)) == record


def test_a_typical_applied_event_takes_250_bytes() -> None:
    """The key is empty, so that is all: a million events leave 250 MB of outcomes, before compression."""
    assert len(write_outcome(TYPICAL)) == 250


def test_what_is_absent_is_not_written() -> None:
    """It would cost bytes in every record of every event."""
    written = json.loads(write_outcome(replace(TYPICAL, status=None, called=None)))
    assert not {"reason", "status", "called"} & written.keys()


@pytest.mark.parametrize("record", [TYPICAL, Taken(epoch=1, member="a")], ids=["ended", "taken"])
def test_a_record_of_a_later_version_is_refused_and_not_guessed(record: Ended | Taken) -> None:
    """It may settle events in a way that this release cannot know."""
    later = replace(record, v=VERSION + 1)
    with pytest.raises(UnreadableRecord, match=f"version {VERSION + 1}") as caught:
        read_outcome(write_outcome(later))
    assert caught.value.reason == "unknown-version"


def test_a_member_that_a_later_release_added_is_passed_over() -> None:
    """A new version is for what changes the meaning of what is there."""
    assert read_outcome(json.dumps({**json.loads(write_outcome(TYPICAL)), "new": {"a": 1}}).encode()) == TYPICAL


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'"ended"',
        b"\xff",
        b"{}",
        b'{"record": "parked", "v": 1}',
        b'{"record": "taken", "epoch": 0, "member": "a"}',
        b'{"record": "taken", "epoch": 1}',
        b'{"record": "ended", "v": 1}',
    ],
)
def test_garbage_is_named_as_such(value: bytes | None) -> None:
    """With the same reason for all of it; its coordinates tell the rest."""
    with pytest.raises(UnreadableRecord) as caught:
        read_outcome(value)
    assert caught.value.reason == "bad-outcome"


@given(st.none() | st.binary())
def test_no_bytes_raise_anything_else(value: bytes | None) -> None:
    """Any other error would end the takeover, and the next member's after it."""
    with pytest.raises(UnreadableRecord):
        read_outcome(value)


def test_what_was_refused_is_not_quoted() -> None:
    """The outcomes topic holds no secrets, but garbage might."""
    with pytest.raises(UnreadableRecord) as caught:
        read_outcome(b'{"record": "taken", "member": "a", "epoch": "s3cr3t"}')
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("name", ["offset", "attempts", "received", "ended", "epoch"])
def test_a_number_below_zero_is_garbage(name: str) -> None:
    """Offsets, counts and moments are never negative."""
    written = json.dumps({**json.loads(write_outcome(TYPICAL)), name: -1}).encode()
    with pytest.raises(UnreadableRecord) as caught:
        read_outcome(written)
    assert caught.value.reason == "bad-outcome"

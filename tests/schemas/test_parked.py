"""The parked topic's records and dead letters: a note of ours behind somebody else's record, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead import DeadLetter, write_dead_letter
from schemas.errors import UnreadableRecord
from schemas.event import Event
from schemas.outcome import MOST, Taken
from schemas.parked import HEADER, Park, Settle, Why, read_note, write_note
from schemas.record import ReceivedRecord, Record, from_record, to_record
from schemas.topics import RECORD_OVERHEAD, max_group_record_bytes, max_record_bytes
from tests.schemas.test_record import EVENT, EVENTS

NUMBERS = st.integers(0, MOST)
PARKS = st.builds(
    Park,
    epoch=st.integers(1, MOST),
    offset=NUMBERS,
    id=st.text(),
    due=NUMBERS,
    attempts=NUMBERS,
    turns=NUMBERS,
    called=st.none() | NUMBERS,
    since=NUMBERS,
    reason=st.sampled_from(Why),
    error=st.none() | st.text(),
)


def received(record: Record) -> ReceivedRecord:
    """Give a record as it is read."""
    return ReceivedRecord(
        partition=0, offset=0, timestamp=0.0, key=record.key, value=record.value, headers=list(record.headers)
    )


@given(event=EVENTS, note=PARKS)
def test_what_is_parked_comes_back_as_it_was(event: Event, note: Park) -> None:
    """Its note, and the event with every header, one of the same name as ours included."""
    read, record = read_note(received(write_note(note, to_record(event))))
    assert read == note
    assert record == to_record(event)
    assert from_record(received(record)) == event


@pytest.mark.parametrize("note", [Settle(offset=5), Taken(epoch=3, member="me")])
def test_a_note_without_an_event_has_neither_key_nor_value(note: Settle | Taken) -> None:
    """There is nothing of anybody's in it."""
    record = write_note(note)
    assert (record.key, record.value, len(record.headers)) == (b"", None, 1)
    assert read_note(received(record))[0] == note


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"record":"park"}',
        b'{"record":"ended","offset":1}',
        b'{"record":"settle","offset":-1}',
        b'{"record":"settle","offset":9223372036854775808}',
        b'{"record":"taken","epoch":0,"member":"a"}',
        b'{"record":"taken","epoch":9223372036854775808,"member":"a"}',
    ],
)
def test_what_is_no_note_is_garbage(text: bytes | None) -> None:
    """The takeover passes it, and names it."""
    with pytest.raises(UnreadableRecord, match="not a record of the parked topic") as caught:
        read_note(received(Record(key=None, value=None, headers=((HEADER, text),))))
    assert caught.value.reason == "bad-note"


def test_a_record_without_a_note_is_garbage() -> None:
    """An event that somebody published to the wrong topic, for one."""
    with pytest.raises(UnreadableRecord) as caught:
        read_note(received(to_record(EVENT)))
    assert caught.value.reason == "bad-note"


@pytest.mark.parametrize("note", [Settle(offset=5, v=2), Taken(epoch=3, member="me", v=2)])
def test_a_note_of_a_later_version_is_not_garbage(note: Settle | Taken) -> None:
    """It means something, and not to us: going on without it would be a guess."""
    with pytest.raises(UnreadableRecord, match="version 2") as caught:
        read_note(received(write_note(note)))
    assert caught.value.reason == "unknown-version"


def test_what_a_later_version_adds_is_passed_over() -> None:
    """As long as it says that it is of this version."""
    text = b'{"record":"settle","v":1,"offset":5,"new":{"a":1}}'
    assert read_note(received(Record(key=b"", value=None, headers=((HEADER, text),))))[0] == Settle(offset=5)


@pytest.mark.parametrize("body_bytes", [1_024, 1_048_576])
def test_the_largest_record_fits_with_its_note(body_bytes: int) -> None:
    """Parked, or given up with the longest text that is said of an error: else its partition would stand still."""
    error = "\x00" * 1_000
    park = Park(
        epoch=MOST,
        offset=MOST,
        id="i" * 36,
        due=MOST,
        attempts=MOST,
        turns=MOST,
        called=MOST,
        since=MOST,
        reason=Why.FAILED,
        error=error,
    )
    letter = DeadLetter(
        group="g" * 249,
        reason="budget_spent",
        error=error,
        topic="t" * 249,
        partition=MOST,
        offset=MOST,
        attempts=MOST,
        status=599,
        called=MOST,
        parked=MOST,
        ended=MOST,
        epoch=MOST,
        member="m" * 300,
    )
    largest = Record(key=b"k" * max_record_bytes(body_bytes), value=None, headers=())
    for record in (write_note(park, largest), write_dead_letter(letter, largest)):
        assert received(record).size < max_group_record_bytes(body_bytes) - RECORD_OVERHEAD // 2

"""Dead letters: the record as it was received, and behind it everything that is needed to understand it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead import HEADER, VERSION, DeadLetter, read_dead_letter, write_dead_letter
from schemas.errors import UnreadableRecord
from schemas.record import ReceivedRecord, Record

MOMENTS = st.integers(0, 2**53)
LETTERS = st.builds(
    DeadLetter,
    group=st.text(),
    reason=st.text(),
    error=st.text(),
    topic=st.text(),
    partition=st.integers(0, 2**31),
    offset=st.integers(0, 2**63 - 1),
    attempts=st.integers(0, 2**31),
    status=st.none() | st.integers(100, 599),
    called=st.none() | MOMENTS,
    parked=st.none() | MOMENTS,
    ended=MOMENTS,
    epoch=st.integers(1, 2**53),
    member=st.text(),
)
HEADERS = st.lists(st.tuples(st.text(max_size=5) | st.just(HEADER), st.none() | st.binary())).map(tuple)
RECORDS = st.builds(Record, key=st.none() | st.binary(), value=st.none() | st.binary(), headers=HEADERS)
LETTER = DeadLetter(
    group="sync",
    reason="permanent",
    error="the call was answered 401",
    topic="fuse.webhooks",
    partition=3,
    offset=5,
    attempts=1,
    ended=9,
    epoch=2,
    member="me",
)


@given(letter=LETTERS, received=RECORDS)
def test_the_record_is_whole_and_the_last_header_tells_the_rest(letter: DeadLetter, received: Record) -> None:
    """Key, value and headers byte for byte, even those of a letter that was buried before (promise 12)."""
    written = write_dead_letter(letter, received)
    assert (written.key, written.value, written.headers[:-1]) == (received.key, received.value, received.headers)
    name, note = written.headers[-1]
    assert name == HEADER
    assert DeadLetter.model_validate_json(note or b"") == letter


@given(letter=LETTERS, written=RECORDS)
def test_a_letter_is_read_as_it_was_written(letter: DeadLetter, written: Record) -> None:
    """What is redriven has to be what was received: at its place in the source, and without our note."""
    record = write_dead_letter(letter, written)
    read, original = read_dead_letter(_received(record))
    assert read == letter
    assert (original.partition, original.offset) == (letter.partition, letter.offset)
    assert (original.key, original.value, original.headers) == (written.key, written.value, written.headers)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "bad-letter"),
        (("theirs", b"{}"), "bad-letter"),
        ((HEADER, None), "bad-letter"),
        ((HEADER, LETTER.model_copy(update={"v": VERSION + 1}).model_dump_json().encode()), "unknown-version"),
    ],
)
def test_what_is_no_letter_of_ours_says_so(header: tuple[str, bytes | None] | None, reason: str) -> None:
    """Somebody else's record must not stop a command, and a later release's must not be guessed at."""
    headers = () if header is None else (header,)
    with pytest.raises(UnreadableRecord) as caught:
        read_dead_letter(_received(Record(key=None, value=b"", headers=headers)))
    assert caught.value.reason == reason


def _received(record: Record) -> ReceivedRecord:
    return ReceivedRecord(
        partition=0, offset=0, timestamp=0.0, key=record.key, value=record.value, headers=record.headers
    )


def test_what_is_absent_is_not_written() -> None:
    """An event that was never called has neither a status nor a first call."""
    note = write_dead_letter(LETTER, Record(key=None, value=None, headers=())).headers[-1][1]
    assert note is not None
    read = json.loads(note)
    assert not {"status", "called", "parked"} & read.keys()
    assert (read["record"], read["v"]) == ("dead", VERSION)

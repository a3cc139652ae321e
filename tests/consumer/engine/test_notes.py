"""Notes, both ways: what is written when an event is parked, and the event again when its turn has come."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.lanes import Tried, Waiting
from consumer.engine.notes import note_failed, note_waiting, waiting_of
from consumer.engine.parking import ParkedEvent
from consumer.engine.retry import Failed
from schemas.event import Environment, Event
from schemas.parked import Park, Why
from schemas.record import UNTYPED, record_key, to_record
from tests.consumer.engine.given import waiting

TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
EVENTS = st.builds(
    Event,
    id=TOKENS,
    tenant=st.from_regex("[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True),
    environment=st.sampled_from(Environment),
    type=TOKENS.filter(lambda text: text != UNTYPED),
    connection=st.text(),
    aggregator=st.text(),
    received_at=st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - so it asks
    verification=TOKENS,
    body=st.binary(),
    generation=st.integers(0, 999_999_999),
    traceparent=st.none() | TOKENS,
    extra_headers=st.sampled_from(((), (("x-other", b"1"), ("x-none", None)))),
)
MOMENTS = st.integers(0, 2**53 - 1)
TRIED = st.builds(
    Tried, attempts=st.integers(0, 99), turns=st.integers(0, 99), called=st.none() | MOMENTS, since=MOMENTS
)


@given(event=EVENTS, offset=MOMENTS, tried=TRIED, due=MOMENTS, error=st.text())
def test_a_parked_event_comes_back_as_it_went(event: Event, offset: int, tried: Tried, due: int, error: str) -> None:
    """With its past, in its lane, byte for byte (promise 3)."""
    lane = record_key(event.tenant, event.connection)
    went = Waiting(offset=offset, lane=lane, size=1, event=event, tried=tried)
    note = note_failed(went, tried, Failed(error=error, jitter=0), 7, due)
    came = waiting_of(ParkedEvent(note=note, record=to_record(event)), 3)
    assert (came.offset, came.lane, came.event, came.tried, came.parked) == (offset, lane, event, tried, True)
    assert (note.epoch, note.id, note.due, note.error, note.reason) == (7, event.id, due, error, Why.FAILED)


def test_what_comes_back_costs_what_its_record_does() -> None:
    """Turns are bounded by bytes like everything else that is held."""
    event = waiting(5).event
    record = to_record(event)
    came = waiting_of(ParkedEvent(note=note_waiting(waiting(5), Why.BEHIND, 1, 2), record=record), 0)
    key, value = record.key, record.value
    assert key is not None
    assert value is not None
    assert came.size == len(key) + len(value) + sum(len(held or b"") for _, held in record.headers)


def test_what_was_not_called_yet_waits_for_its_lane_alone() -> None:
    """It is due at once; nothing is known but since when it waits, and why."""
    note = note_waiting(waiting(5), Why.LANE_FULL, 7, 99)
    assert note == Park(epoch=7, offset=5, id="event-5", due=0, since=99, reason=Why.LANE_FULL)

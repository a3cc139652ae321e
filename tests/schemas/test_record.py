"""The record: every event survives the log, keys part lanes, and what is unreadable is named exactly."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import UnreadableRecord
from schemas.event import Environment, Event
from schemas.record import UNTYPED, ReceivedRecord, decode_attribute, from_record, record_key, to_record

EVENT = Event(
    id="0199a0b0-0000-7000-8000-000000000000",
    tenant="acme",
    environment=Environment.SANDBOX,
    type="financial_connection.sync_data",
    connection="connection-1",
    aggregator="plaid",
    received_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    verification="c2lnbmF0dXJl",
    body=b'{"b": 1}',
)
REQUIRED = [
    *("ce_id", "ce_source", "ce_type", "ce_time"),
    *("ce_tenant", "ce_environment", "ce_fuseverification"),
]

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates, line breaks and NUL included
HOSTILE = '\ud800\udfff\r\n\0 "%25é\U0001f600/\x7f'
HOSTILE_EVENT = replace(EVENT, type=HOSTILE, connection=HOSTILE, aggregator=HOSTILE, traceparent=HOSTILE, body=b"\xff")
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
HEADER_TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001 - as hypothesis asks
EXTRA_HEADERS = st.dictionaries(st.text().map("their-{}".format), st.none() | st.binary(), max_size=4).map(
    lambda headers: tuple(headers.items())
)
EVENTS = st.builds(
    Event,
    id=HEADER_TEXT.filter(lambda text: "%" not in text),
    tenant=TENANTS,
    environment=st.sampled_from(Environment),
    type=ANY_TEXT.filter(lambda text: text != UNTYPED),
    connection=ANY_TEXT,
    aggregator=ANY_TEXT,
    received_at=TIMES,
    verification=HEADER_TEXT,
    body=st.binary(),
    generation=st.integers(0, 999_999_999),
    traceparent=st.none() | ANY_TEXT,
    group=st.none() | ANY_TEXT,
    replay=st.none() | ANY_TEXT,
    extra_headers=EXTRA_HEADERS,
)


def _received(event: Event = EVENT, /, **headers: bytes | None) -> ReceivedRecord:
    """Consume an event's record with these headers replaced or added; None takes one away."""
    record = to_record(event)
    changed: dict[str, bytes | None] = {**dict(record.headers), **headers}
    kept = tuple((name, value) for name, value in changed.items() if name not in headers or value is not None)
    return ReceivedRecord(partition=1, offset=2, timestamp=3.0, key=record.key, value=record.value, headers=kept)


def _reason(record: ReceivedRecord) -> str:
    with pytest.raises(UnreadableRecord) as caught:
        from_record(record)
    return caught.value.reason


@given(EVENTS)
@example(HOSTILE_EVENT)
def test_every_event_is_read_as_it_was_written(event: Event) -> None:
    """Whatever its texts hold; its time is the same instant. Headers that we do not know are kept as they are."""
    assert from_record(_received(event)) == event


def test_headers_that_the_contract_does_not_know_stand_behind_ours() -> None:
    """What somebody else put there comes out of the parked log and the dead letters again, empty values included."""
    extra = (("their-id", b"\x00\xff"), ("empty", b""), ("none", None), ("fuse_parked", b"theirs"))
    record = to_record(replace(EVENT, extra_headers=extra))
    assert record.headers[-4:] == extra
    assert to_record(from_record(_received(replace(EVENT, extra_headers=extra)))) == record


@given(EVENTS)
@example(HOSTILE_EVENT)
def test_header_values_and_keys_are_printable_ascii(event: Event) -> None:
    """So that every client, log and console can show them, and none can be made to write two lines."""
    record = to_record(replace(event, extra_headers=()))
    for text in (record.key, *(value for _, value in record.headers)):
        assert text is not None
        assert all(0x21 <= byte <= 0x7E for byte in text)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), b"2026-01-02T03:04:05.000678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b"2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 6, 678, tzinfo=UTC), b"2026-01-02T03:04:06.000678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))), b"2026-01-02T02:04:05Z"),
    ],
)
def test_a_time_is_written_as_python_writes_it_in_utc(time: datetime, text: bytes) -> None:
    """Programs may compare the texts, so one instant has one spelling, in every release."""
    assert dict(to_record(replace(EVENT, received_at=time)).headers)["ce_time"] == text


def test_the_value_is_the_body_byte_for_byte() -> None:
    """Even one that is no text at all."""
    assert to_record(replace(EVENT, body=b"\xff\x00 {")).value == b"\xff\x00 {"


@pytest.mark.parametrize("name", ["type", "connection", "aggregator"])
def test_what_a_body_does_not_say_is_empty_after_the_log_too(name: str) -> None:
    """A CloudEvents attribute must not be empty, so such a header is left out or stands for itself."""
    silent = replace(EVENT, **{name: ""})  # type: ignore[arg-type] # all three are texts
    assert from_record(_received(silent)) == silent
    assert all(value for _, value in to_record(silent).headers)


def test_a_type_that_spells_the_stand_in_is_read_as_no_type() -> None:
    """Nothing hangs on the difference: no handler knows either."""
    assert from_record(_received(replace(EVENT, type=UNTYPED))).type == ""


def test_the_key_is_tenant_and_connection_as_they_are_where_they_are_plain() -> None:
    """Other clients find a lane by the same two words."""
    assert record_key("acme", "connection-1") == b"acme/connection-1"


@given(TENANTS, ANY_TEXT)
@example("acme", HOSTILE)
def test_a_key_tells_its_tenant_and_connection(tenant: str, connection: str) -> None:
    """That they can be read back proves that no two pairs share a key."""
    named, _, encoded = record_key(tenant, connection).partition(b"/")
    assert (named.decode(), decode_attribute("key", encoded)) == (tenant, connection)


@given(st.tuples(TENANTS, ANY_TEXT), st.tuples(TENANTS, ANY_TEXT))
def test_distinct_pairs_have_distinct_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    """And equal ones the same."""
    assert (record_key(*one) == record_key(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b/c"), ("a.b", "c")),
        (("acme", "%41"), ("acme", "A")),
        (("acme", "é"), ("acme", "%C3%A9")),
        (("acme", "\ud83d\ude00"), ("acme", "\U0001f600")),
        (("acme", ""), ("acme", "/")),
    ],
)
def test_pairs_that_look_alike_have_distinct_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    """The encoding's own signs are encoded, and a pair of lone surrogates is not the character it would make."""
    assert record_key(*one) != record_key(*other)


def test_a_record_without_a_value_has_no_body() -> None:
    """A tombstone, as compaction tools write them."""
    assert _reason(replace(_received(), value=None)) == "no-body"


def test_a_header_that_stands_twice_is_ambiguous() -> None:
    """Clients would disagree on which of the two counts; any header, known or not."""
    for name in ("ce_id", "x-unknown"):
        headers = (*_received().headers, (name, b"1"), (name, b"1"))
        assert _reason(replace(_received(), headers=headers)) == "repeated-header"


def test_a_record_of_something_else_is_not_cloudevents() -> None:
    """Such as one that a console producer wrote."""
    assert _reason(replace(_received(), headers=())) == "not-cloudevents"


@pytest.mark.parametrize("version", [b"0.3", b"1.1", b"", b"1.0 "])
def test_another_version_of_cloudevents_is_unknown(version: bytes) -> None:
    """Its attributes may mean something else."""
    assert _reason(_received(ce_specversion=version)) == "unknown-version"


@pytest.mark.parametrize("value", [None, b""], ids=["missing", "empty"])
@pytest.mark.parametrize("name", REQUIRED)
def test_an_attribute_that_is_missing_or_empty_is_named(name: str, value: bytes | None) -> None:
    """Without it nobody could handle the event."""
    record = _received(**{name: value})
    assert _reason(record) == "missing-attribute"
    with pytest.raises(UnreadableRecord, match=name):
        from_record(record)


@pytest.mark.parametrize("value", [b"\xe9", b"%FF", b"%C3"], ids=["not-ascii", "not-utf-8", "cut-short"])
@pytest.mark.parametrize("name", ["ce_id", "ce_subject", "ce_type", "ce_aggregator", "traceparent"])
def test_an_attribute_that_is_not_encoded_as_agreed_is_bad(name: str, value: bytes) -> None:
    """Rather than read as some other text."""
    record = _received(**{name: value})
    assert _reason(record) == "bad-attribute"
    with pytest.raises(UnreadableRecord, match=name):
        from_record(record)


@pytest.mark.parametrize("name", ["ce_id", "ce_fuseverification"])
def test_what_goes_into_a_header_of_the_sync_call_can_stand_there(name: str) -> None:
    """A line break would be a second header, if any client let it pass."""
    assert _reason(_received(**{name: b"a%0D%0Ab"})) == "bad-attribute"


@pytest.mark.parametrize("tenant", [b"a/b", b"%ED%A0%80", b"Acme", b"a%0Ab", b".acme"])
def test_a_tenant_that_cannot_be_is_a_bad_attribute(tenant: bytes) -> None:
    """With a source and a key that agree with it; a slash in it would let two lanes share a key."""
    text = decode_attribute("ce_tenant", tenant)
    key = text.encode("utf-8", "surrogatepass") + b"/connection-1"
    record = _received(ce_tenant=tenant, ce_source=b"/tenants/" + tenant + b"/sandbox")
    assert _reason(replace(record, key=key)) == "bad-attribute"


@pytest.mark.parametrize("environment", [b"staging", b"Sandbox", b"sandbox%20"])
def test_an_environment_that_fuse_does_not_have_is_bad(environment: bytes) -> None:
    """There is neither a key nor an address for it."""
    assert _reason(_received(ce_environment=environment)) == "bad-environment"


BEYOND = b"9999-12-31T23:59:59-12:00"
"""It can be read, and not be written again in UTC."""


@pytest.mark.parametrize(
    "time",
    [b"yesterday", b"2026-13-01T00:00:00Z", b"2026-01-02T03:04:05", b"1767322800", b"1969-12-31T23:59:59Z", BEYOND],
    ids=["words", "no-such-month", "no-zone", "a-number", "before-1970", "beyond-the-years-in-utc"],
)
def test_a_time_that_is_no_instant_of_ours_is_bad(time: bytes) -> None:
    """Ages are reckoned from it, and outcomes tell it as milliseconds since 1970."""
    assert _reason(_received(ce_time=time)) == "bad-time"


@pytest.mark.parametrize("generation", [b"0", b"-1", b"+1", b"01", b"1.0", b"", b"%D9%A3", b"1000000000"])
def test_a_generation_that_is_not_written_as_agreed_is_bad(generation: bytes) -> None:
    """It is part of the idempotency key, so there is one spelling for each."""
    assert _reason(_received(ce_generation=generation)) == "bad-generation"


@pytest.mark.parametrize("source", [b"/tenants/other/sandbox", b"/tenants/acme/production", b"acme"])
def test_a_source_of_somebody_else_is_a_mismatch(source: bytes) -> None:
    """One of the two is wrong, and with it perhaps whose credentials would be used."""
    assert _reason(_received(ce_source=source)) == "source-mismatch"


@pytest.mark.parametrize("key", [None, b"", b"acme", b"acme/", b"acme/connection-2", b"other/connection-1"])
def test_a_key_of_another_lane_is_a_mismatch(key: bytes | None) -> None:
    """Its order against the lane's other events would be lost."""
    assert _reason(replace(_received(), key=key)) == "key-mismatch"


HEADER_NAMES = st.sampled_from([*REQUIRED, "ce_specversion", "ce_subject", "ce_generation", "traceparent"])
HEADER_VALUES = st.none() | st.binary(max_size=20) | st.sampled_from([value for _, value in to_record(EVENT).headers])


@given(
    st.builds(
        ReceivedRecord,
        partition=st.just(0),
        offset=st.just(0),
        timestamp=st.just(0.0),
        key=st.none() | st.binary(),
        value=st.none() | st.binary(),
        headers=st.lists(st.tuples(HEADER_NAMES | st.text(), HEADER_VALUES)),
    )
)
def test_no_garbage_raises_anything_else(record: ReceivedRecord) -> None:
    """Any other error would end the member, and the next one after it."""
    assert _reason(record)


@given(st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=2), st.none() | st.binary(max_size=20))
def test_a_garbled_record_is_read_or_refused(headers: dict[str, Any], key: bytes | None) -> None:
    """One or two headers of a good record replaced, and perhaps its key; no error but ours comes out."""
    record = _received(**headers)
    with suppress(UnreadableRecord):
        assert from_record(record if key is None else replace(record, key=key)).body == record.value

"""What is verified is published, byte for byte, whatever it says."""

import uuid
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import orjson
import pytest

from schemas.event import Environment
from tests.ingress.conftest import BODY, KEYS, OLD_KEY, Ingress, signature, signed


async def test_a_signed_webhook_is_published_as_the_event_that_it_describes(ingress: Ingress) -> None:
    """Promises 1 and 3: the answer names the event, and the bytes are those received."""
    answer = await ingress.post(BODY)
    (event,) = ingress.log.events
    assert (answer.status, answer.json) == (200, {"id": event.id})
    assert (event.tenant, event.environment, event.connection) == ("acme", Environment.SANDBOX, "c-1")
    assert (event.type, event.aggregator, event.verification) == ("t", "plaid", signature(BODY))
    assert (event.body, event.generation) == (BODY, 0)
    assert abs(datetime.now(UTC) - event.received_at) < timedelta(seconds=30)
    assert uuid.UUID(event.id).version == 7


async def test_the_answer_is_json_with_a_date_on_a_connection_that_stays(ingress: Ingress) -> None:
    """The answer 200 is written without aiohttp's general response: it has to have what that would have."""
    answer = await ingress.post(BODY)
    assert answer.headers["Content-Type"] == "application/json"
    assert abs(datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])) < timedelta(seconds=30)
    assert answer.headers["Connection"] == "keep-alive"


async def test_two_webhooks_equal_to_the_byte_are_two_events(ingress: Ingress) -> None:
    """Equal bodies can be genuine news twice, so nothing is dropped."""
    first, second = await ingress.post(BODY), await ingress.post(BODY)
    assert first.json != second.json
    assert len(ingress.log.records) == 2


async def test_a_scrambled_body_is_verified_by_its_canonical_text_and_published_as_it_came(ingress: Ingress) -> None:
    """Fuse signs the canonical text; the order of keys and the white space are the sender's."""
    body = b' { "type" : "t", "environment":"sandbox",\n"\\u0061":1.0 } '
    assert (await ingress.post(body)).status == 200
    assert ingress.log.events[0].body == body


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"0",
        b'"text"',
        b"[]",
        b"{}",
        b'{"type":7,"financial_connection_id":["x"],"source":{"a":1}}',
        b'{"type":null,"financial_connection_id":true,"source":1.5}',
        b'{"type":"a type that nobody knows","more":{"nested":true}}',
        b'{"type":"","financial_connection_id":"","source":""}',
    ],
)
async def test_whatever_json_is_signed_is_published(ingress: Ingress, body: bytes) -> None:
    """Promise 2: what is verified is always published, whatever its type."""
    assert (await ingress.post(body)).status == 200
    (event,) = ingress.log.events
    assert event.body == body
    assert (event.connection, event.aggregator) == ("", "")


@pytest.mark.parametrize("odd", ["\ud800", "\r\nce_id: forged", "\0", "a/b", "%2F", "\U0001f600", "é", " "])
async def test_any_text_in_the_names_reaches_the_log_as_it_is(ingress: Ingress, odd: str) -> None:
    """Lone surrogates, CR, LF and NUL stand in correctly signed bodies too."""
    text = b'{"environment":"sandbox","financial_connection_id":%b,"source":%b,"type":%b}'
    spelled = b'"' + b"".join(b"\\u%04x" % ord(each) for each in _utf16(odd)) + b'"'
    assert (await ingress.post(text % (spelled, spelled, spelled))).status == 200
    (event,) = ingress.log.events
    assert (event.connection, event.aggregator, event.type) == (odd, odd, odd)


def _utf16(text: str) -> list[str]:
    units = text.encode("utf-16-be", "surrogatepass")
    return [chr(units[i] * 256 + units[i + 1]) for i in range(0, len(units), 2)]


async def test_the_environment_is_that_of_the_key_that_signed(ingress: Ingress) -> None:
    """A body that names no environment is tried against the keys of both."""
    body = b'{"environment":"staging"}'
    for environment, key in KEYS.items():
        headers = {"fuse-verification": signature(body, key)}
        assert (await ingress.post(body, headers)).status == 200
        assert ingress.log.events[-1].environment == environment


async def test_a_key_still_accepted_verifies(ingress: Ingress) -> None:
    """Keys are rotated with an overlap."""
    body = b'{"environment":"production"}'
    assert (await ingress.post(body, {"fuse-verification": signature(body, OLD_KEY)})).status == 200


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "APPLICATION/JSON ; charset=utf-8", "application/cloudevents+json", None],
)
async def test_json_by_any_of_its_names_is_taken_and_so_is_no_name(ingress: Ingress, content_type: str | None) -> None:
    """What the body is shows when it is read."""
    headers = {"fuse-verification": signature(BODY)} | ({"Content-Type": content_type} if content_type else {})
    assert (await ingress.post(BODY, headers)).status == 200


async def test_an_identity_encoding_is_no_encoding(ingress: Ingress) -> None:
    """Some clients say so."""
    assert (await ingress.post(BODY, signed(BODY, **{"Content-Encoding": "Identity"}))).status == 200


async def test_a_body_in_chunks_is_taken(ingress: Ingress) -> None:
    """Nothing obliges a sender to know the length beforehand."""
    body = orjson.dumps({"environment": "sandbox", "note": "x" * 300_000})

    async def chunks() -> object:
        for i in range(0, len(body), 7_000):
            yield body[i : i + 7_000]

    answer = await ingress.request("POST", "/webhooks/acme", data=chunks(), headers=signed(body))
    assert answer.status == 200
    assert ingress.log.events[0].body == body


async def test_a_tenant_named_with_percent_signs_is_the_same_tenant(ingress: Ingress) -> None:
    """RFC 3986, section 6.2.2.2: a letter equals its percent-encoding. A query changes nothing."""
    assert (await ingress.post(BODY, tenant="%61cm%65?via=test")).status == 200
    assert ingress.log.events[0].tenant == "acme"

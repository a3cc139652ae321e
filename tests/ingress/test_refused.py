"""What is refused, how, and that nothing of it is published."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.errors import NotAcknowledged, QueueFull, UnpublishableRecord
from schemas.event import Environment
from tests.ingress.conftest import BODY, KEYS, OLD_KEY, Answer, Ingress, serve, signature, signed, tenants, until

_INVALID = {"message": "Invalid webhook"}


@pytest.fixture(autouse=True)
async def nothing_is_published(ingress: Ingress) -> AsyncIterator[None]:
    """Promise 2: what is not verified is never published."""
    yield
    assert ingress.log.records == []


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "x",
        "é",
        signature(BODY, OLD_KEY),
        signature(
            BODY, KEYS[Environment.PRODUCTION]
        ),  # a key of the tenant, but of another environment than the body names
        signature(BODY)[:-1],
        signature(BODY) + "=",
        signature(BODY).lower(),
        signature(BODY)[:-2]
        + chr(ord(signature(BODY)[-2]) + 1)
        + "=",  # decodes from base64 to the same bytes, or near
        signature(BODY) + ", " + signature(BODY),
    ],
)
async def test_a_wrong_signature_is_answered_403(ingress: Ingress, sent: str) -> None:
    """The words are those of Fuse's example receiver."""
    answer = await ingress.post(BODY, {"fuse-verification": sent})
    assert (answer.status, answer.json) == (403, _INVALID)


async def test_no_signature_is_a_wrong_signature(ingress: Ingress) -> None:
    """It is missing altogether."""
    answer = await ingress.post(BODY, {})
    assert (answer.status, answer.json) == (403, _INVALID)


async def test_a_tampered_body_is_answered_403(ingress: Ingress) -> None:
    """One character differs."""
    answer = await ingress.post(BODY.replace(b"c-1", b"c-2"), signed(BODY))
    assert (answer.status, answer.json) == (403, _INVALID)


@pytest.mark.parametrize(
    "name", ["nobody", "ACME", "%00", "%FF", "..%2e", "acme%20", "ac%0Ame", "%F0%9F%98%80", "a" * 500]
)
async def test_an_unknown_tenant_cannot_be_told_from_a_wrong_signature(ingress: Ingress, name: str) -> None:
    """Same status, same headers, same body: there is no way to find out who is a customer."""
    unknown = await ingress.post(BODY, tenant=name)
    wrong = await ingress.post(BODY, {"fuse-verification": "x"})
    assert (unknown.status, unknown.json) == (403, _INVALID)
    assert _without_date(unknown) == _without_date(wrong)


async def test_an_environment_without_keys_is_answered_as_a_wrong_signature(ingress: Ingress) -> None:
    """The tenant has a sandbox only, and the body names production."""
    body = b'{"environment":"production"}'
    answer = await ingress.post(
        body, {"fuse-verification": signature(body, KEYS[Environment.PRODUCTION])}, tenant="small"
    )
    assert (answer.status, answer.json) == (403, _INVALID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'{"a":1,"a":1}',
        b'{"__proto__":1}',
        b"[" * 901 + b"]" * 901,
        b"[" * 100_000,
        "{}".encode("utf-16"),
    ],
)
async def test_what_is_no_unambiguous_json_is_answered_400_with_what_to_do(ingress: Ingress, body: bytes) -> None:
    """Whether the tenant exists makes no difference here either."""
    for tenant in ("acme", "nobody"):
        answer = await ingress.post(body, {"fuse-verification": "x"}, tenant=tenant)
        assert answer.status == 400
        assert ": send" in answer.json["message"]


@pytest.mark.parametrize("depth", [899, 900])
async def test_the_deepest_bodies_allowed_are_read(depth: int) -> None:
    """The stack of a real request leaves room for what the settings allow."""
    body = b"[" * depth + b"1.0" + b"]" * depth
    async with serve() as ingress:
        assert (await ingress.post(body)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "text/x+json"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, br"},
    ],
)
async def test_what_is_declared_to_be_no_plain_json_is_answered_415(ingress: Ingress, headers: dict[str, str]) -> None:
    """A compressed body is not unpacked: the bytes forwarded are the bytes received."""
    answer = await ingress.post(BODY, signed(BODY) | headers)
    assert answer.status == 415
    assert ": send" in answer.json["message"]


async def test_a_body_over_the_limit_is_answered_413_however_it_comes() -> None:
    """By its declared length before it is read, and in chunks as soon as it is too long; at the limit it is taken."""
    async with serve(settings={"max_body_bytes": 1024}) as ingress:
        assert (await ingress.post(_of_size(1024))).status == 200
        assert (await ingress.post(_of_size(1025))).status == 413
        assert (await ingress.post(_of_size(1_000_000))).status == 413
        assert (await _post_in_chunks(ingress, _of_size(1024))).status == 200
        assert (await _post_in_chunks(ingress, _of_size(1025))).status == 413
        assert (await _post_in_chunks(ingress, _of_size(1_000_000))).status == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "QUERY"])
async def test_another_method_is_answered_405_with_the_one_that_is_allowed(ingress: Ingress, method: str) -> None:
    """RFC 9110, section 15.5.6."""
    answer = await ingress.request(method, "/webhooks/acme")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    probe = await ingress.request("POST", "/readyz")
    assert (probe.status, probe.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/webhooks/", "/webhooks/acme/", "/webhooks/a%2Fb", "/WEBHOOKS/acme"]
)
async def test_another_path_is_answered_404_with_the_one_there_is(ingress: Ingress, path: str) -> None:
    """A wrong address in Fuse's dashboard is found by reading the answer."""
    answer = await ingress.request("POST", path, data=BODY, headers=signed(BODY))
    assert answer.status == 404
    assert "/webhooks/{tenant}" in answer.json["message"]


@pytest.mark.parametrize(
    "failure", [QueueFull("full"), NotAcknowledged("late"), UnpublishableRecord("too large"), RuntimeError("a bug")]
)
async def test_what_kafka_does_not_take_is_answered_503_with_when_to_come_again(
    ingress: Ingress, failure: Exception
) -> None:
    """Whatever it is, the sender has to keep the webhook; and never sees a 500, or what went wrong inside."""
    ingress.log.raised = failure
    answer = await ingress.post(BODY)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert str(failure) not in answer.json["message"]


async def test_a_webhook_is_not_answered_before_it_is_acknowledged_and_503_if_it_never_is() -> None:
    """Promise 1."""
    async with serve() as ingress:
        ingress.log.held = []
        asking = asyncio.create_task(ingress.post(BODY))
        await until(lambda: len(ingress.log.records) == 1)
        assert not asking.done()
        ingress.log.held[0].set_exception(NotAcknowledged("late"))
        assert (await asking).status == 503


async def test_more_requests_than_allowed_at_once_are_answered_503() -> None:
    """Memory is bounded: promise 9. Room is there again as soon as one is answered."""
    async with serve(settings={"ingress_max_concurrent": 2}) as ingress:
        ingress.log.held = []
        asking = [asyncio.create_task(ingress.post(BODY)) for _ in range(2)]
        await until(lambda: len(ingress.log.records) == 2)
        assert (await ingress.post(BODY)).status == 503
        for held in ingress.log.held:
            held.set_result(None)
        assert [answer.status for answer in await asyncio.gather(*asking)] == [200, 200]
        ingress.log.held = None
        assert (await ingress.post(BODY)).status == 200


async def test_a_tenant_over_its_limit_is_answered_429_with_when_there_is_room_again() -> None:
    """Nobody else is, and once the time has come it is taken again."""
    now = [1000.0]
    async with serve(tenants(limit=0.5, burst=2), clock=lambda: now[0]) as ingress:
        statuses = [(await ingress.post(BODY, tenant="small")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = await ingress.post(BODY, tenant="small")
        assert refused.headers["Retry-After"] == "2"
        assert (await ingress.post(BODY)).status == 200
        now[0] += 2
        assert (await ingress.post(BODY, tenant="small")).status == 200


async def test_forged_webhooks_do_not_spend_a_tenants_budget() -> None:
    """Else anybody could keep a tenant's own webhooks out."""
    async with serve(tenants(limit=0.001, burst=1)) as ingress:
        for _ in range(5):
            assert (await ingress.post(BODY, {"fuse-verification": "x"}, tenant="small")).status == 403
        assert (await ingress.post(BODY, tenant="small")).status == 200


def _of_size(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


async def _post_in_chunks(ingress: Ingress, body: bytes) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        for i in range(0, len(body), 600):
            yield body[i : i + 600]

    return await ingress.request("POST", "/webhooks/acme", data=chunks(), headers=signed(body))


def _without_date(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "Date"}

"""Requests as bytes on a socket: whatever comes is answered, and never with a 500 or with silence."""

import asyncio

import pytest

from tests.ingress.conftest import BODY, Ingress, raw_exchange, serve, signature, until

_SIGNED = f"fuse-verification: {signature(BODY)}\r\n".encode()
_LENGTH = b"Content-Length: %d\r\n" % len(BODY)


def _request(
    target: bytes = b"/webhooks/acme", *, method: bytes = b"POST", version: bytes = b"1.1", more: bytes = b""
) -> bytes:
    return method + b" " + target + b" HTTP/" + version + b"\r\nHost: x\r\n" + _SIGNED + _LENGTH + more + b"\r\n" + BODY


def _status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer
    return int(answer[9:12])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/webhooks/acme", 200),
        (b"/webhooks/acme?x=%00", 200),
        (b"http://elsewhere.example:99/webhooks/acme", 200),
        (b"//webhooks/acme", 404),
        (b"/webhooks/%00", 403),
        (b"/webhooks/%", 403),
        (b"/webhooks/%ZZ", 403),
        (b"/webhooks/%C3%28", 403),
        (b"/webhooks/%ED%A0%80", 403),
        (b"/webhooks/;", 403),
        (b"/webhooks/..", 403),
        (b"/webhooks/a" + b"b" * 7000, 403),
        (b"*", None),
        (b"http:///webhooks/acme", None),
        (b"http://[::1/webhooks/acme", None),
        (b"http://x:99999999/webhooks/acme", None),
        (b"ftp://x/webhooks/acme", 200),
        (b"///", None),
        (b"//[", None),
        (b"/webhooks/\x00", None),
        (b"/webhooks/\xff\xfe", None),
        (b"/webhooks/a\tb", None),
        (b"/webhooks/a b", None),
        (b"#", None),
        (b"?", None),
        (b"webhooks/acme", None),
        (b"/webhooks/" + b"a" * 20_000, None),
    ],
)
async def test_any_target_is_answered(ingress: Ingress, target: bytes, status: int | None) -> None:
    """Where no status is named, aiohttp's parser may decide between refusing the request and passing it on."""
    (answer,) = await raw_exchange(ingress.port, _request(target))
    assert _status(answer) == status if status else 400 <= _status(answer) < 500


@pytest.mark.parametrize("method", [b"CONNECT", b"OPTIONS", b"TRACE", b"post", b"NONSENSE", b"PRI", b"\x16\x03\x01"])
@pytest.mark.parametrize("target", [b"/webhooks/acme", b"*", b"x:443"])
async def test_any_method_is_answered(ingress: Ingress, method: bytes, target: bytes) -> None:
    """CONNECT names an authority instead of a path, OPTIONS may name a star, and TLS is no method."""
    (answer,) = await raw_exchange(ingress.port, _request(target, method=method))
    assert 400 <= _status(answer) < 500


@pytest.mark.parametrize(
    "more",
    [
        b"X: " + b"x" * 100_000 + b"\r\n",
        b"X: y\r\n" * 1000,
        b"X: \x00\r\n",
        b": empty\r\n",
        b"no colon\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ],
)
async def test_broken_headers_are_answered_400_in_json(ingress: Ingress, more: bytes) -> None:
    """They are refused before we see them, and aiohttp's own answer would be plain text."""
    (answer,) = await raw_exchange(ingress.port, _request(more=more))
    assert _status(answer) == 400
    assert b'{"message":' in answer


@pytest.mark.parametrize(
    "more",
    [
        b"X: \xff\xfe\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-Continue\r\n",
        b"Expect: something\r\n",
        b"Host: y\r\n",
    ],
)
async def test_odd_headers_change_nothing(ingress: Ingress, more: bytes) -> None:
    """Whatever does not concern us is passed over."""
    answers = await raw_exchange(ingress.port, _request(more=more))
    assert _status(answers[-1]) in {200, 400}
    assert len(ingress.log.records) == (_status(answers[-1]) == 200)


@pytest.mark.parametrize("more", [_SIGNED, _SIGNED.upper(), b"Fuse-Verification: x\r\n", b"fuse-verification:\r\n"])
async def test_two_signatures_are_a_wrong_signature_though_one_is_right(ingress: Ingress, more: bytes) -> None:
    """Whoever sends two leaves it open which one counts; in either order, and also if they are equal."""
    first, second = _request(more=more), _request().replace(b"Host: x\r\n", b"Host: x\r\n" + more)
    for request in (first, second):
        (answer,) = await raw_exchange(ingress.port, request)
        assert _status(answer) == 403
    assert ingress.log.records == []


async def test_a_sender_that_waits_to_be_asked_is_asked(ingress: Ingress) -> None:
    """RFC 9110, section 10.1.1: after the interim answer comes the body, and then the real one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(_request(more=b"Expect: 100-continue\r\n").removesuffix(BODY))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert _status(await reader.readuntil(b"\r\n\r\n")) == 200
    writer.close()


async def test_a_sender_that_waits_to_be_asked_is_not_asked_for_a_body_too_large() -> None:
    """That is what the question is for."""
    async with serve(settings={"max_body_bytes": 1024}) as ingress:
        request = b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n"
        (answer,) = await raw_exchange(ingress.port, request + _SIGNED + b"\r\n")
        assert _status(answer) == 413


async def test_http_1_0_is_answered_and_the_connection_ends_unless_it_is_asked_to_stay(ingress: Ingress) -> None:
    """Old proxies and load balancers speak it."""
    (answer,) = await raw_exchange(ingress.port, _request(version=b"1.0"), answers=2)
    assert _status(answer) == 200
    assert b"Connection: close\r\n" in answer
    stays = _request(version=b"1.0", more=b"Connection: keep-alive\r\n")
    assert [_status(each) for each in await raw_exchange(ingress.port, stays * 2, answers=2)] == [200, 200]


async def test_a_connection_that_is_to_be_closed_is_closed(ingress: Ingress) -> None:
    """HTTP/1.1 stays open otherwise."""
    (answer,) = await raw_exchange(ingress.port, _request(more=b"Connection: close\r\n"), answers=2)
    assert b"Connection: close\r\n" in answer


async def test_pipelined_requests_are_all_answered_in_order(ingress: Ingress) -> None:
    """Also more of them than aiohttp keeps waiting, and with refusals in between."""
    wrong = _request().replace(_SIGNED, b"fuse-verification: x\r\n")
    answers = await raw_exchange(ingress.port, (_request() + wrong) * 60, answers=120)
    assert [_status(each) for each in answers] == [200, 403] * 60
    ids = [event.id for event in ingress.log.events]
    assert [each[-38:-2].decode() for each in answers[::2]] == ids


async def test_a_body_that_does_not_come_is_answered_408() -> None:
    """A sender that stalls does not hold a place for ever."""
    async with serve(settings={"ingress_body_timeout_seconds": 0.2}) as ingress:
        (answer,) = await raw_exchange(ingress.port, _request()[:-1])
        assert _status(answer) == 408
        assert b'{"message":' in answer


async def test_broken_chunks_are_answered_400(ingress: Ingress) -> None:
    """The body breaks off in the middle of its coding."""
    head = b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + _SIGNED + b"\r\n"
    for chunks in (b"zz\r\n", b"5\r\nhello?", b"-1\r\n\r\n", b"3\r\nabc\r\nxyz\r\n"):
        (answer,) = await raw_exchange(ingress.port, head + chunks)
        assert _status(answer) == 400


async def test_a_sender_that_goes_away_leaves_nothing_behind(ingress: Ingress) -> None:
    """Its place is free again, and what it had sent is not published."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(_request()[:-1])
    await until(lambda: ingress.gate.inside == 1)
    writer.close()
    await until(lambda: ingress.gate.inside == 0)
    assert await reader.read() == b""
    assert ingress.log.records == []


async def test_a_sender_that_goes_away_before_the_answer_loses_nothing(ingress: Ingress) -> None:
    """The event is on its way into the log; the sender will send it again, and it is then there twice."""
    ingress.log.held = []
    _, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(_request())
    await until(lambda: len(ingress.log.records) == 1)
    writer.close()
    await writer.wait_closed()
    ingress.log.held[0].set_result(None)
    await until(lambda: ingress.gate.inside == 0)

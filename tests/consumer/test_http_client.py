"""The HTTP client over real sockets: what it does itself, since it goes without the library's session."""

import asyncio
import gc
import gzip
import os
import socket
import ssl
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from consumer.handlers.http_client import HttpClient, Post, open_client
from tests.consumer.fake_fuse import WITHIN, FakeFuse, answer, fuse
from tests.consumer.fakes import settings

LARGE = b"x" * 2**25
"""More than a socket takes on its own."""
MARK = b"what only one call sends"
HEADERS = {"User-Agent": "somebody", "Content-Type": "application/json", "Fuse-Api-Key": "k\u00e9y"}


def post(url: str, body: bytes = b"{}", **headers: str) -> Post:
    """Give a POST."""
    return Post(url=url, headers=HEADERS | headers, body=body)


@asynccontextmanager
async def client(**changes: object) -> AsyncIterator[HttpClient]:
    """Open the client as the process does."""
    async with asyncio.timeout(WITHIN), open_client(settings(**changes)) as opened:
        yield opened


def lines(head: str) -> list[str]:
    """Give the lines of a request's head: the first one, and then the headers in any order."""
    first, *headers = head.splitlines()
    return [first, *sorted(headers)]


async def test_a_request_is_that_of_the_librarys_session() -> None:
    """With its own headers, the host as it stands in the URL, and the path as the library encodes it."""
    async with fuse() as upstream:
        url = upstream.url.replace("127.0.0.1", "localhost") + "/a b/\u00e9?c=d e#f"
        async with client() as ours:
            await ours.post(post(url))
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=HEADERS) as response:
            await response.read()
    assert lines(upstream.heads[0]) == lines(upstream.heads[1])
    assert "/a%20b/%C3%A9?c=d+e " in upstream.heads[0]


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_what_comes_before_the_answer_is_no_answer(status: int) -> None:
    """However often it comes; the connection is used again."""
    before = f"HTTP/1.1 {status} Some\r\nLink: x\r\n\r\n".encode()
    async with fuse(FakeFuse(before * 3 + answer(201, body=b"[1]"))) as upstream, client() as ours:
        for _ in range(2):
            answered = await ours.post(post(upstream.url))
            assert (answered.status, answered.body) == (201, b"[1]")
    assert upstream.connections == 1


async def test_an_answer_that_changes_the_protocol_ends_the_connection() -> None:
    """Nobody asked for that: what comes afterwards is not HTTP."""
    changed = FakeFuse(b"HTTP/1.1 101 Some\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc")
    async with fuse(changed) as upstream, client() as ours:
        assert [(await ours.post(post(upstream.url))).status for _ in range(2)] == [101, 101]
    assert upstream.connections == 2


@asynccontextmanager
async def unread(head: bytes) -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """Start a Fuse that says `head` at once to each connection and never reads; give its URL and its connections."""
    writers: list[asyncio.StreamWriter] = []

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(head)

    async with asyncio.timeout(WITHIN), await asyncio.start_server(say, "127.0.0.1", 0, limit=1) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", writers
        for writer in writers:
            writer.transport.abort()


async def test_an_answer_counts_before_the_body_is_sent() -> None:
    """Who finds a body too large need not read it; the next call does not wait behind it, nor does closing."""
    async with unread(answer(413)) as (url, connections):
        async with client() as ours:
            answers = [await ours.post(post(url, LARGE)) for _ in range(2)]
        assert [each.status for each in answers] == [413, 413]
        assert len(connections) == 2


async def test_who_reads_nothing_keeps_no_connection_open() -> None:
    """With what is not sent, once the call has been given up (promise 9)."""
    opened: list[socket.socket] = []

    def make(address: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        opened.append(socket.socket(*address[:3]))
        return opened[-1]

    async with unread(b"") as (url, _), open_client(settings(call_timeout_seconds=0.1), make) as ours:
        with pytest.raises(TimeoutError):
            await ours.post(post(url, LARGE))
        while opened[0].fileno() >= 0:  # noqa: ASYNC110 - the loop closes it in its next rounds
            await asyncio.sleep(0)


async def test_a_late_answer_is_never_that_of_another_call() -> None:
    """Its connection goes with the call that gave up."""
    first = asyncio.Event()

    def late(writer: asyncio.StreamWriter) -> None:
        if upstream.connections == 1:
            first.set()
            asyncio.get_running_loop().call_later(0.2, writer.write, answer(200, body=b"the first"))
        else:
            asyncio.get_running_loop().call_later(0.4, writer.write, answer(200, body=b"the second"))

    async with fuse(FakeFuse(late)) as upstream, client() as ours:
        given_up = asyncio.create_task(ours.post(post(upstream.url)))
        await first.wait()
        given_up.cancel()
        assert (await ours.post(post(upstream.url))).body == b"the second"
    assert upstream.connections == 2


async def test_what_comes_with_an_answer_is_not_that_of_the_next_call() -> None:
    """The connection is not used again."""
    too_many = answer(200, body=b"asked") + answer(200, body=b"nobody asked")
    async with fuse(FakeFuse(too_many)) as upstream, client() as ours:
        assert [(await ours.post(post(upstream.url))).body for _ in range(2)] == [b"asked", b"asked"]
    assert upstream.connections == 2


async def test_what_comes_between_two_calls_is_the_answer_to_neither() -> None:
    """The call whose connection it is fails, to be tried again: nothing was sent there."""
    writers: list[asyncio.StreamWriter] = []

    def note(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(answer(200, body=b"asked"))

    async with fuse(FakeFuse(note)) as upstream, fuse() as elsewhere, client() as ours:
        await ours.post(post(upstream.url))
        writers[0].write(answer(200, body=b"nobody asked"))
        await writers[0].drain()
        await ours.post(post(elsewhere.url))  # by when that has been received
        with pytest.raises(aiohttp.ClientConnectionError, match="not free"):
            await ours.post(post(upstream.url))
        assert (await ours.post(post(upstream.url))).body == b"asked"
    assert (len(upstream.heads), upstream.connections) == (2, 2)


@pytest.mark.parametrize(
    ("answered", "connections"),
    [
        (b"HTTP/1.1 204 Some\r\n\r\n", 1),
        (b"HTTP/1.1 304 Some\r\nContent-Length: 5\r\n\r\n", 1),
        (b"HTTP/1.1 200 Some\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 2),
        (b"HTTP/1.0 200 Some\r\nContent-Length: 0\r\n\r\n", 2),
    ],
    ids=["no body", "no body but its length", "to be closed", "an old version"],
)
async def test_a_connection_is_used_again_if_the_answer_lets_it(answered: bytes, connections: int) -> None:
    """As HTTP has it, for each kind of answer."""
    async with fuse(FakeFuse(answered)) as upstream, client() as ours:
        for _ in range(2):
            assert (await ours.post(post(upstream.url))).body == b""
    assert upstream.connections == connections


def _with_its_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Some\r\n\r\nall of it")
    writer.close()


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """And is whole then."""
    async with fuse(FakeFuse(_with_its_end)) as upstream, client() as ours:
        assert (await ours.post(post(upstream.url))).body == b"all of it"


def _cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Some\r\nContent-Length: 10\r\n\r\nhalf")
    writer.close()


def _badly_chunked(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Some\r\nTransfer-Encoding: chunked\r\n\r\nhalf\r\n")


def _not_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp ready\r\n\r\n")


@pytest.mark.parametrize("trouble", [_cut_off, _badly_chunked, _not_http])
async def test_an_answer_that_is_not_whole_is_none(trouble: Callable[[asyncio.StreamWriter], None]) -> None:
    """Even if it began with a success (promise 1). Nothing keeps what was sent until garbage is collected."""
    async with fuse(FakeFuse(trouble)) as upstream, client() as ours:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(aiohttp.ClientPayloadError):
                await ours.post(post(upstream.url, MARK))
            assert not [each for each in gc.get_objects() if isinstance(each, Post) and each.body == MARK]
        finally:
            gc.enable()


@pytest.mark.parametrize("size", [200_000, 50_000_000])
async def test_of_an_answer_that_grows_when_unpacked_little_is_kept(size: int) -> None:
    """Its connection goes with it (promise 9)."""
    packed = gzip.compress(b"\0" * size)
    async with fuse(FakeFuse(answer(200, {"Content-Encoding": "gzip"}, packed))) as upstream, client() as ours:
        answered = [await ours.post(post(upstream.url)) for _ in range(2)]
    assert [len(each.body) for each in answered] == [65_536, 65_536]
    assert upstream.connections == 2


async def test_closing_ends_what_is_under_way() -> None:
    """Nobody is left waiting."""
    async with fuse(FakeFuse(lambda _: None)) as upstream:
        async with client() as ours:
            calls = [asyncio.create_task(ours.post(post(upstream.url))) for _ in range(3)]
            while len(upstream.heads) < len(calls):  # noqa: ASYNC110 - what is waited for happens on a socket
                await asyncio.sleep(0)
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, aiohttp.ClientError) for each in ended)


@pytest.mark.parametrize(
    "url",
    ["http://", "http://[::1", "http://a:b/", "/v1", "ftp://localhost/", "foo://localhost/"]
    + [f"http://{host}/" for host in ("a..b", ".example.com", "a" * 64 + ".com")],
)
async def test_a_url_that_cannot_be_called_is_said_to_be_that(url: str) -> None:
    """Before anything is connected to."""
    async with client() as ours:
        with pytest.raises(aiohttp.InvalidURL):
            await ours.post(post(url))


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b"])
async def test_no_header_brings_others_in(value: str) -> None:
    """Nothing of such a request is sent, and the client goes on."""
    async with fuse() as upstream, client() as ours:
        with pytest.raises(ValueError, match="header"):
            await ours.post(post(upstream.url, Forged=value))
        await ours.post(post(upstream.url))
    assert len(upstream.heads) == 1


async def test_no_more_connections_than_calls_that_may_be_in_flight() -> None:
    """All of them wait for one of these, and get an answer."""

    def soon(writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(0.01, writer.write, answer(200))

    async with fuse(FakeFuse(soon)) as upstream, client(max_in_flight=3) as ours:
        answers = await asyncio.gather(*(ours.post(post(upstream.url)) for _ in range(20)))
    assert [each.status for each in answers] == [200] * 20
    assert upstream.connections == 3


@pytest.mark.parametrize(
    ("issuer", "name", "trusted"),
    [("known", "localhost", True), ("unknown", "localhost", False), ("known", "fuse.example", False)],
)
async def test_https_is_for_those_whose_certificate_is_trusted(
    tmp_path: Path, issuer: str, name: str, *, trusted: bool
) -> None:
    """Keys go to nobody else (promise 10). In a process of its own, since trust is read at the start."""
    authorities = {"known": trustme.CA(), "unknown": trustme.CA()}
    authorities["known"].cert_pem.write_to_path(tmp_path / "trusted.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authorities[issuer].issue_cert(name).configure_cert(context)
    upstream = FakeFuse(answer(200))
    async with await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CALL_TWICE, f"https://localhost:{port}"),
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "trusted.pem")},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(WITHIN):
            said, _ = await process.communicate()
    wrong = "ClientConnectorCertificateError"
    assert said.decode().split() == (["200", "200"] if trusted else [wrong, wrong])
    assert (len(upstream.heads), upstream.connections) == ((2, 1) if trusted else (0, 0))


CALL_TWICE = textwrap.dedent(
    """
    import asyncio, sys
    import aiohttp
    from tests.consumer.test_http_client import client, post

    async def main():
        async with client() as ours:
            for _ in range(2):
                try:
                    print((await ours.post(post(sys.argv[1]))).status)
                except aiohttp.ClientError as error:
                    print(type(error).__name__)

    asyncio.run(main())
    """
)

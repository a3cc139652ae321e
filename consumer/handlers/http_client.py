"""The HTTP client of handlers: how it is opened, how long it may take, and how much of an answer is read."""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import field
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, StreamWriter
from yarl import URL

from consumer.handlers.deadline import Deadline
from consumer.lease import LEASE_SHARE
from schemas.settings import ConsumerSettings
from schemas.structs import struct

_MOST_ANSWER_BYTES = 65_536
"""An answer is read so far, to let its connection be used again; nothing in it is needed beyond that."""
_KEEP_ALIVE_SECONDS = 30
_MOST_URLS = 1_024
"""What is prepared is kept for so many URLs."""
_SCHEMES = frozenset({"http", "https"})
_INFORMATIONAL = frozenset({*range(100, 200)} - {HTTPStatus.SWITCHING_PROTOCOLS})
"""They come before the answer; the one that ends HTTP on a connection is an answer."""


@struct
class Post:
    """A POST. `headers` may hold secrets in clear, since this is what is sent; neither they nor the body show."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@struct
class Answered:
    """An answer: its status, its Retry-After header, and the beginning of its body."""

    status: int
    retry_after: str | None
    body: bytes = field(repr=False)


class HttpClient:
    """Make a handler's calls: no cookies, no redirects, and every one of them within the deadline.

    Of the library it takes the connector, the writer and the parser, and not the session: see `docs/decisions.md`.
    """

    def __init__(self, connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout, deadline: Deadline) -> None:
        self._connector = connector
        self._timeout = timeout
        self._deadline = deadline
        self._prepared = lru_cache(_MOST_URLS)(_prepare)

    async def post(self, post: Post) -> Answered:
        """Make a call. Raises aiohttp.ClientError and TimeoutError."""
        with self._deadline.held():
            prepared = self._prepared(post.url)
            connection = await self._connect(prepared)
            try:
                answered = await _exchange(_free(connection), prepared, post)
            except BaseException:
                _abort(connection)  # whatever comes there now is no answer to another call
                raise
            connection.release()
        return answered

    async def _connect(self, prepared: aiohttp.ClientRequest) -> Connection:
        try:
            return await self._connector.connect(prepared, [], self._timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {prepared.url.host} in time") from None
        except UnicodeError:  # nobody can be asked for the address of such a name
            raise aiohttp.InvalidURL(prepared.url) from None


@asynccontextmanager
async def open_client(
    settings: ConsumerSettings, sockets: Callable[[Any], socket.socket] | None = None
) -> AsyncIterator[HttpClient]:
    """Open the HTTP client, with as many connections as calls may be in flight.

    `sockets` makes the sockets from what `getaddrinfo` gave, if some addresses are not to be connected to.
    """
    connect_seconds = min(settings.call_connect_timeout_seconds, settings.session_timeout_seconds * (1 - LEASE_SHARE))
    async with aiohttp.TCPConnector(
        limit=settings.max_in_flight, keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=sockets
    ) as connector:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)  # in all: the deadline
        yield HttpClient(connector, timeout, Deadline(settings.call_timeout_seconds))


def _prepare(url: str) -> aiohttp.ClientRequest:
    """Prepare what all calls to a URL have in common: whom to connect to, and the library's own headers.

    Raises aiohttp.InvalidURL.
    """
    try:
        found = URL(url)
        if found.scheme in _SCHEMES:
            return aiohttp.ClientRequest(aiohttp.hdrs.METH_POST, found)
    except ValueError as error:
        raise aiohttp.InvalidURL(url) from error
    raise aiohttp.InvalidURL(url)


def _free(connection: Connection) -> ResponseHandler:
    """Give what speaks HTTP on a connection, unless something came there that nobody asked for.

    It would pass for the answer to the next call. Raises aiohttp.ClientConnectionError.
    """
    protocol = connection.protocol
    if protocol is None or protocol.should_close:
        raise aiohttp.ClientConnectionError("the connection is not free for a call")
    return protocol


def _abort(connection: Connection) -> None:
    """Give a connection up. Closing alone would wait until the other side has read what is not sent yet."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


async def _exchange(protocol: ResponseHandler, prepared: aiohttp.ClientRequest, post: Post) -> Answered:
    """Send a request over a connection that is free, and read the answer."""
    protocol.set_response_params(read_until_eof=True)
    await _send(protocol, prepared, post)
    try:
        message, content = await protocol.read()
        while message.code in _INFORMATIONAL:
            message, content = await protocol.read()
        body = await _read_body(content)
    except (HttpProcessingError, aiohttp.ClientPayloadError) as error:
        error.__traceback__ = None  # the library keeps the error, whose frames keep the library's objects and the post
        raise aiohttp.ClientPayloadError("the answer is no HTTP, or broke off") from None
    if not content.at_eof() or _is_sending(protocol):
        protocol.force_close()
        protocol.abort()
    return Answered(status=message.code, retry_after=message.headers.get("Retry-After"), body=body)


def _is_sending(protocol: ResponseHandler) -> bool:
    """Say whether some of a request is not sent although it has been answered: the next would wait behind it."""
    return protocol.transport is not None and protocol.transport.get_write_buffer_size() > 0


async def _send(protocol: ResponseHandler, prepared: aiohttp.ClientRequest, post: Post) -> None:
    """Write a request, and do not wait until it is sent: who answers sooner may never read it all."""
    headers = prepared.headers.copy()
    headers.update(post.headers)
    headers[aiohttp.hdrs.CONTENT_LENGTH] = str(len(post.body))
    writer = StreamWriter(protocol, prepared.loop)
    await writer.write_headers(f"POST {prepared.url.raw_path_qs} HTTP/1.1", headers)
    await writer.write(post.body, drain=False)


async def _read_body(answer: aiohttp.StreamReader) -> bytes:
    """Read the beginning of an answer's body."""
    pieces, left = [], _MOST_ANSWER_BYTES
    while left > 0 and not answer.at_eof():  # a small answer has come as a whole with its head: read once
        piece = await answer.read(left)
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

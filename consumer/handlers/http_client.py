"""The HTTP client of handlers: how it is opened, how long it may take, and how much of an answer is read."""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Any

import aiohttp

from consumer.handlers.deadline import Deadline
from consumer.lease import LEASE_SHARE
from schemas.settings import ConsumerSettings
from schemas.structs import struct

_MOST_ANSWER_BYTES = 65_536
"""An answer is read so far, to let its connection be used again; nothing in it is needed beyond that."""
_KEEP_ALIVE_SECONDS = 30


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
    """Make a handler's calls: no cookies, no redirects, and every one of them within the deadline."""

    def __init__(self, session: aiohttp.ClientSession, deadline: Deadline) -> None:
        self._session = session
        self._deadline = deadline

    async def post(self, post: Post) -> Answered:
        """Make a call. Raises aiohttp.ClientError and TimeoutError."""
        with self._deadline.held():
            async with self._session.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                body = await _read_body(answer.content)
        return Answered(status=answer.status, retry_after=answer.headers.get("Retry-After"), body=body)


@asynccontextmanager
async def open_client(
    settings: ConsumerSettings, sockets: Callable[[Any], socket.socket] | None = None
) -> AsyncIterator[HttpClient]:
    """Open the HTTP client, with as many connections as calls may be in flight.

    `sockets` makes the sockets from what `getaddrinfo` gave, if some addresses are not to be connected to.
    """
    connector = aiohttp.TCPConnector(
        limit=settings.max_in_flight, keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=sockets
    )
    connect_seconds = min(settings.call_connect_timeout_seconds, settings.session_timeout_seconds * (1 - LEASE_SHARE))
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),  # in all: the deadline
    ) as session:
        yield HttpClient(session, Deadline(settings.call_timeout_seconds))


async def _read_body(answer: aiohttp.StreamReader) -> bytes:
    """Read the beginning of an answer's body."""
    pieces, left = [], _MOST_ANSWER_BYTES
    while left > 0 and not answer.at_eof():  # a small answer has come as a whole with its head: read once
        piece = await answer.read(left)
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

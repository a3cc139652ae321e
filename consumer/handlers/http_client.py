"""The HTTP client of handlers: how it is opened, and how much of an answer is read."""

import socket
from collections.abc import Callable
from typing import Any

import aiohttp

from consumer.lease import LEASE_SHARE
from schemas.settings import ConsumerSettings

_MOST_ANSWER_BYTES = 65_536
"""An answer is read so far, to let its connection be used again; nothing in it is needed beyond that."""
_KEEP_ALIVE_SECONDS = 30


def open_session(
    settings: ConsumerSettings,
    sockets: Callable[[Any], socket.socket] | None = None,
) -> aiohttp.ClientSession:
    """Open the HTTP client: as many connections as calls may be in flight, no cookies, every call with a time-out.

    `sockets` makes the sockets from what `getaddrinfo` gave, if some addresses are not to be connected to.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=settings.max_in_flight, keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=sockets
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=settings.call_timeout_seconds,
            sock_connect=min(
                settings.call_connect_timeout_seconds, settings.session_timeout_seconds * (1 - LEASE_SHARE)
            ),
        ),
    )


async def read_answer_body(answer: aiohttp.StreamReader) -> bytes:
    """Read the beginning of an answer's body."""
    pieces, left = [], _MOST_ANSWER_BYTES
    while left > 0 and not answer.at_eof():  # a small answer has come as a whole with its head: read once
        piece = await answer.read(left)
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

"""The sync call of both consumers, with aiohttp: one session, which keeps its connections, and no second attempt."""

import json
import os

import aiohttp

_URL = os.environ["FUSE_URL"]
_HEADERS: dict[str, str] = json.loads(os.environ["HEADERS"])


def session() -> aiohttp.ClientSession:
    """Make the session."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=30))


async def call(client: aiohttp.ClientSession, body: bytes) -> None:
    """Call Fuse. Raises ClientResponseError if it does not say yes."""
    async with client.post(_URL, data=body, headers=_HEADERS) as answer:
        answer.raise_for_status()
        await answer.read()

"""The bounded read: a body of so many bytes at most, within so many seconds."""

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from schemas.errors import BodyIncomplete, BodyTooLarge, BodyTooSlow


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyBounds:
    """How large a body may be, in bytes, and how long it may take to arrive, in seconds."""

    size: int
    seconds: float


def read_arrived(content: aiohttp.StreamReader, bounds: BodyBounds) -> bytes | None:
    """Give the body if all of it is here: most come in one packet with their headers. Raises BodyTooLarge."""
    if not content.is_eof():
        return None
    if content.total_bytes > bounds.size:
        raise _too_large(bounds)
    return content.read_nowait()


async def read_bounded(request: web.BaseRequest, bounds: BodyBounds) -> bytes:
    """Wait for the body, and read it as sent.

    Raises BodyTooLarge, before anything is read where Content-Length already says so, BodyTooSlow and BodyIncomplete.
    """
    content = request.content
    if (request.content_length or 0) > bounds.size:
        raise _too_large(bounds)
    try:
        async with asyncio.timeout(bounds.seconds):
            await _invite(request)
            return await _collect(content, bounds)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {bounds.seconds:g} s: send it faster") from None
    except (aiohttp.ClientError, web.RequestPayloadError, ConnectionError) as error:
        error.__traceback__ = None  # the reader keeps the error, whose frames keep the reader and what came of the body
        raise BodyIncomplete("the body broke off: send the webhook again, whole") from None


async def _invite(request: web.BaseRequest) -> None:
    """Ask for the body where the sender waits to be asked (RFC 9110, section 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # that was no part of the answer


async def _collect(content: aiohttp.StreamReader, bounds: BodyBounds) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > bounds.size:
            raise _too_large(bounds)
    return bytes(body)


def _too_large(bounds: BodyBounds) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {bounds.size} bytes: send a smaller one, or have the limit raised")

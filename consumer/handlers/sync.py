"""The handler `sync`: calls Fuse's sync endpoint for every event that announces new data."""

import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

import aiohttp
from aiohappyeyeballs import AddrInfoType

from consumer.handler import Context
from consumer.handlers.fuse_request import FuseRequest, sync_request
from consumer.lease import LEASE_SHARE
from schemas.errors import Retryable
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.settings import ConsumerSettings
from schemas.tenants import Account, Tenants
from schemas.webhook import WebhookType

SUPERSEDES = frozenset({WebhookType.SYNC_DATA.value})
"""One call tells Fuse of all equal webhooks before it. What is ignored is to be seen as that, each of them."""

_SECONDS = re.compile(r"[0-9]+")
_MOST_SECONDS = 1e9
"""What is not below that says nothing usable: no lane may be made to wait for centuries by one answer."""

_MOST_ANSWER_BYTES = 65_536
"""An answer is read so far, to let its connection be used again; nothing in it is needed beyond that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Apply `financial_connection.sync_data`; ignore every other type, since Fuse's sync is for that one."""

    supersedes: ClassVar = SUPERSEDES

    session: aiohttp.ClientSession
    tenants: Tenants
    base_urls: Mapping[Environment, str]

    async def __call__(self, event: Event, _: Context) -> HandlerResult:
        """Make the sync call. Raises Retryable for a call that failed, or could not be made.

        So is it for a tenant that is not configured: that is not the event's fault, and can be mended while it waits.
        """
        if event.type != WebhookType.SYNC_DATA:
            return Ignored(reason="type_not_synced")
        account = self._account(event)
        return await self._call(sync_request(event, account, account.base_url or self.base_urls[event.environment]))

    def _account(self, event: Event) -> Account:
        tenant = self.tenants.get(event.tenant)
        account = tenant.accounts.get(event.environment) if tenant else None
        if account is None:
            raise Retryable(f"tenant {event.tenant} has no {event.environment} account: add it to the tenants file")
        return account

    async def _call(self, request: FuseRequest) -> HandlerResult:
        try:
            async with self.session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                await _read(response.content)
                return _judge(response.status, response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Retryable(f"the call failed: {type(error).__name__}") from None


async def _read(answer: aiohttp.StreamReader) -> None:
    left = _MOST_ANSWER_BYTES
    while left > 0 and (piece := await answer.read(left)):
        left -= len(piece)


def _judge(status: int, retry_after: str | None) -> HandlerResult:
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success (RFC 9110, section 15.3)
        return Applied(status=status)
    seconds = parse_retry_after(retry_after, datetime.now(UTC))
    raise Retryable(f"Fuse answered {status}", retry_after=seconds, status=status)


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3): seconds from `now`; None if it says nothing usable."""
    seconds = None if text is None else _seconds(text, now)
    return seconds if seconds is not None and seconds < _MOST_SECONDS else None


def _seconds(text: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a time zone of astronomical size
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


@asynccontextmanager
async def open_sync(settings: ConsumerSettings, tenants: Tenants) -> AsyncIterator[Sync]:
    """Open the handler with its HTTP client."""
    urls = {
        Environment.SANDBOX: settings.fuse_sandbox_url,
        Environment.PRODUCTION: settings.fuse_production_url,
    }
    async with open_session(settings) as session:
        yield Sync(session=session, tenants=tenants, base_urls=urls)


def open_session(
    settings: ConsumerSettings, sockets: Callable[[AddrInfoType], socket.socket] | None = None
) -> aiohttp.ClientSession:
    """Open the HTTP client: as many connections as calls may be in flight, no cookies, every call with a time-out.

    `sockets` makes the sockets, if some addresses are not to be connected to.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.max_in_flight, keepalive_timeout=30, socket_factory=sockets),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=settings.call_timeout_seconds,
            sock_connect=min(
                settings.call_connect_timeout_seconds, settings.session_timeout_seconds * (1 - LEASE_SHARE)
            ),
        ),
    )

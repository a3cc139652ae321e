"""The handler `sync`: calls Fuse's sync endpoint for every event that announces new data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from consumer.failures import NO_ANSWER
from consumer.handler import Context
from consumer.handlers.fuse_answer import judge
from consumer.handlers.fuse_request import FuseRequest, sync_request
from consumer.handlers.odd_answers import OddAnswers
from consumer.lease import LEASE_SHARE
from schemas.errors import DestinationDown, Misconfigured
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.settings import ConsumerSettings
from schemas.tenants import Account, Tenants
from schemas.webhook import WebhookType

SUPERSEDES = frozenset({WebhookType.SYNC_DATA.value})
"""One call tells Fuse of all equal webhooks before it. What is ignored is to be seen as that, each of them."""

_MOST_ANSWER_BYTES = 65_536
"""An answer is read so far, to let its connection be used again; nothing in it is needed beyond that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Apply `financial_connection.sync_data`; ignore every other type, since Fuse's sync is for that one."""

    session: aiohttp.ClientSession
    tenants: Tenants
    base_urls: Mapping[Environment, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    odd: OddAnswers = field(default_factory=OddAnswers)

    async def __call__(self, event: Event, _: Context) -> HandlerResult:
        """Make the sync call. Raises what `judge` does, and DestinationDown where there was no answer.

        For a tenant that is not configured it is Misconfigured: no fault of the event, and mended while it waits.
        """
        if event.type != WebhookType.SYNC_DATA:
            return Ignored(reason="type_not_synced")
        account = self._account(event)
        return await self._call(sync_request(event, account, account.base_url or self.base_urls[event.environment]))

    def destination(self, event: Event) -> str | None:
        """Give the base URL that the call will go to; None if there will be none."""
        tenant = self.tenants.get(event.tenant)
        account = tenant.accounts.get(event.environment) if tenant else None
        if event.type != WebhookType.SYNC_DATA or account is None:
            return None
        return account.base_url or self.base_urls[event.environment]

    def _account(self, event: Event) -> Account:
        tenant = self.tenants.get(event.tenant)
        account = tenant.accounts.get(event.environment) if tenant else None
        if account is None:
            raise Misconfigured(f"tenant {event.tenant} has no {event.environment} account: add it to the tenants file")
        return account

    async def _call(self, request: FuseRequest) -> HandlerResult:
        try:
            async with self.session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body = await _read(response.content)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DestinationDown(f"the call failed: {type(error).__name__}: {NO_ANSWER.because}") from None
        result = judge(response.status, response.headers.get("Retry-After"), body, self.failures)
        if isinstance(result, Applied) and response.status != HTTPStatus.NO_CONTENT:
            self.odd.look_at(body)
        return result


async def _read(answer: aiohttp.StreamReader) -> bytes:
    pieces, left = [], _MOST_ANSWER_BYTES
    while left > 0 and (piece := await answer.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def open_session(settings: ConsumerSettings) -> aiohttp.ClientSession:
    """Open the HTTP client: as many connections as calls may be in flight, no cookies, every call with a time-out."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.max_in_flight, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=settings.call_timeout_seconds,
            sock_connect=min(
                settings.call_connect_timeout_seconds, settings.session_timeout_seconds * (1 - LEASE_SHARE)
            ),
        ),
    )

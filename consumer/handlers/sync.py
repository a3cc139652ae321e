"""The handler `sync`: calls Fuse's sync endpoint for every event that announces new data."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

import aiohttp

from consumer.failures import NO_ANSWER
from consumer.handler import Context
from consumer.handlers.fuse_answer import judge
from consumer.handlers.fuse_request import sync_request
from consumer.handlers.http_client import HttpClient, open_client
from consumer.handlers.odd_answers import OddAnswers
from schemas.errors import DestinationDown, Misconfigured
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.settings import ConsumerSettings
from schemas.tenants import Account, Tenants
from schemas.webhook import WebhookType

SUPERSEDES = frozenset({WebhookType.SYNC_DATA.value})
"""One call tells Fuse of all equal webhooks before it. What is ignored is to be seen as that, each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Apply `financial_connection.sync_data`; ignore every other type, since Fuse's sync is for that one."""

    supersedes: ClassVar = SUPERSEDES

    client: HttpClient
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
        try:
            answer = await self.client.post(sync_request(event, account, self.base_urls[event.environment]))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DestinationDown(f"the call failed: {type(error).__name__}: {NO_ANSWER.because}") from None
        result = judge(answer, self.failures)
        if isinstance(result, Applied) and answer.status != HTTPStatus.NO_CONTENT:
            self.odd.look_at(answer.body)
        return result

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


@asynccontextmanager
async def open_sync(settings: ConsumerSettings, tenants: Tenants) -> AsyncIterator[Sync]:
    """Open the handler with its HTTP client."""
    urls = {
        Environment.SANDBOX: settings.fuse_sandbox_url,
        Environment.PRODUCTION: settings.fuse_production_url,
    }
    async with open_client(settings) as client:
        yield Sync(client=client, tenants=tenants, base_urls=urls, failures=settings.failures)

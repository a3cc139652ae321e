"""The handler `relay`: sends every event on to a URL of the tenant's, signed as a Standard Webhook."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from consumer.failures import NO_ANSWER
from consumer.handler import Context
from consumer.handlers.fuse_answer import judge
from consumer.handlers.http_client import HttpClient, open_client
from consumer.handlers.public_sockets import PrivateAddress, public_socket
from consumer.handlers.relay_request import relay_request
from schemas.errors import ConfigurationError, DestinationDown, Misconfigured, Retryable
from schemas.event import Event
from schemas.outcome import HandlerResult, Ignored
from schemas.relay_target import RelayTarget
from schemas.settings import ConsumerSettings, variable
from schemas.tenants import Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Apply every event of a tenant that has a receiver; `default` is that of tenants without one of their own.

    `clock` gives seconds since the epoch.
    """

    client: HttpClient
    tenants: Tenants
    default: RelayTarget | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    async def __call__(self, event: Event, context: Context) -> HandlerResult:
        """Send the event. Raises what `judge` does, and DestinationDown where there was no answer."""
        if event.tenant not in self.tenants:
            raise Misconfigured(f"tenant {event.tenant} is not known: add it to the tenants file")
        target = self._target(event)
        if target is None:
            return Ignored(reason="no_relay_url")
        request = relay_request(event, target, context.idempotency_key, int(self.clock()))
        try:
            answer = await self.client.post(request)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _failure(error, request.url) from None
        return judge(answer, self.failures)

    def destination(self, event: Event) -> str | None:
        """Give scheme, host and port of the receiver; None if the event goes nowhere."""
        target = self._target(event)
        if target is None:
            return None
        parts = urlsplit(target.url)
        return f"{parts.scheme}://{parts.netloc}"

    def _target(self, event: Event) -> RelayTarget | None:
        tenant = self.tenants.get(event.tenant)
        return None if tenant is None else tenant.relay or self.default


def _failure(error: Exception, url: str) -> Retryable:
    if isinstance(error, aiohttp.InvalidURL):
        return Misconfigured("the relay URL cannot be called: spell its host as a name or a whole address")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddress):
        return Misconfigured(
            f"the relay URL's host {urlsplit(url).hostname} is at an address that is not public: give another URL, or "
            f"set {variable('relay_allow_private')} to true"
        )
    return DestinationDown(f"the call failed: {type(error).__name__}: {NO_ANSWER.because}")


@asynccontextmanager
async def open_relay(settings: ConsumerSettings, tenants: Tenants) -> AsyncIterator[Relay]:
    """Open the handler with its HTTP client. Raises ConfigurationError for a default URL without its secret."""
    sockets = None if settings.relay_allow_private else public_socket
    default = _default(settings)
    async with open_client(settings, sockets) as client:
        yield Relay(client=client, tenants=tenants, default=default, failures=settings.failures)


def _default(settings: ConsumerSettings) -> RelayTarget | None:
    url, secret = settings.relay_url, settings.relay_secret
    if (url is None) != (secret is None):
        names = variable("relay_url"), variable("relay_secret")
        raise ConfigurationError([f"{names[0]} and {names[1]}: give both, or neither."])
    return None if url is None or secret is None else RelayTarget(url=url, secrets=(secret,))

"""Serving: the parts of the ingress put together, until there is a reason to stop."""

import asyncio
import time
from typing import Protocol

import structlog

from ingress.gate import Gate
from ingress.readiness import Brokers, Readiness
from ingress.receive import EventLog, Receiver
from ingress.routes import Routes
from ingress.server import listening
from schemas.errors import UnpublishableRecord
from schemas.settings import IngressSettings
from schemas.telemetry import LogEvent
from schemas.tenants import Tenants


class Publishing(EventLog, Brokers, Protocol):
    """Where events go, and how that is; `Publisher` is one. `failure` is done once nothing can be published."""

    failure: asyncio.Future[UnpublishableRecord]


async def serve(
    settings: IngressSettings, tenants: Tenants, publisher: Publishing, stop: asyncio.Future[None]
) -> UnpublishableRecord | None:
    """Serve until `stop` is done, or until nothing can be published any more: then give the reason.

    What was let in by then is finished first, in bounded time. Raises ConfigurationError where the address cannot be
    had.
    """
    gate = Gate(settings.ingress_max_concurrent)
    receiver = Receiver(settings, tenants, publisher)
    readiness = Readiness(publisher, settings.topic, gate, time.monotonic)
    routes = Routes(receiver, readiness, gate, tenants=tenants, retry_after=settings.ingress_retry_after_seconds)
    async with listening(routes, gate, settings) as port:
        structlog.get_logger().info(LogEvent.INGRESS_STARTED, host=settings.ingress_host, port=port)
        await asyncio.wait((stop, publisher.failure), return_when=asyncio.FIRST_COMPLETED)
    return publisher.failure.result() if publisher.failure.done() else None

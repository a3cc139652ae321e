"""The path of a webhook."""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiohttp import web
from uuid_utils import uuid7

from ingress.accepted import Accepted
from ingress.body import BodyBounds, read_arrived, read_bounded
from ingress.describe import describe
from ingress.media import check_media
from ingress.rate import Budgets
from ingress.sender import claimed_signature, verify_sender
from schemas.canonical import read_body
from schemas.record import Record, to_record
from schemas.settings import IngressSettings
from schemas.telemetry import LogEvent
from schemas.tenants import Tenant


class EventLog(Protocol):
    """Where events go; `Publisher` is one."""

    def publish(self, topic: str, record: Record) -> Awaitable[object]:
        """Queue a record; what is given is done once it is durable.

        Either raises Retryable or UnpublishableRecord.
        """


class Receiver:
    """Receive webhooks of `tenants` and publish them to `events`."""

    def __init__(
        self,
        settings: IngressSettings,
        tenants: Mapping[str, Tenant],
        events: EventLog,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = BodyBounds(size=settings.max_body_bytes, seconds=settings.ingress_body_timeout_seconds)
        self._max_depth = settings.ingress_max_depth
        self._topic = settings.topic
        self._tenants = tenants  # as it is: it changes when the file does
        self._budgets = Budgets()
        self._events = events
        self._log = structlog.get_logger().bind()  # once: it would otherwise be done anew for every line
        self._clock = clock

    async def receive(self, request: web.BaseRequest, tenant_name: str) -> Accepted:
        """Take one webhook in, from the request to the answer.

        Raises a kind of Rejected for what the sender has to change, Retryable when Kafka does not take the event, and
        UnpublishableRecord when it never will. Only a verified webhook is charged to its tenant's budget: anybody can
        send the others, and must not be able to spend it.
        """
        check_media(request.headers)
        signature = claimed_signature(request.headers)
        raw = read_arrived(request.content, self._bounds)
        if raw is None:
            raw = await read_bounded(request, self._bounds)
        body = read_body(raw, max_depth=self._max_depth)
        sender = verify_sender(self._tenants.get(tenant_name), body, signature)
        self._budgets.spend(sender.tenant, self._clock())
        event = describe(body, sender, event_id=str(uuid7()), received_at=datetime.now(UTC))
        await self._events.publish(self._topic, to_record(event))
        self._log.debug(LogEvent.WEBHOOK_ACCEPTED, id=event.id, tenant=event.tenant, size=len(event.body))
        return Accepted(event.id)

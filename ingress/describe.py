"""The event that a verified webhook becomes."""

from collections.abc import Mapping
from datetime import datetime

from ingress.sender import Sender
from schemas.canonical import JsonBody
from schemas.event import Event


def describe(body: JsonBody, sender: Sender, *, event_id: str, received_at: datetime) -> Event:
    """Describe a webhook. Whatever its type is, or whether it has one: what is verified becomes an event."""
    return Event(
        id=event_id,
        tenant=sender.tenant.name,
        environment=sender.environment,
        type=_text(body.members, "type"),
        connection=_text(body.members, "financial_connection_id"),
        aggregator=_text(body.members, "source"),
        received_at=received_at,
        verification=sender.signature,
        body=body.raw,
    )


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""

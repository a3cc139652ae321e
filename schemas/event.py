"""The event: a verified webhook with its identity."""

from dataclasses import field
from datetime import datetime
from enum import StrEnum

from schemas.structs import struct

TENANT_NAME = "[a-z0-9][a-z0-9._-]{0,62}"
"""A tenant's name, as a regular expression: it stands in URLs, record keys and CloudEvents sources as it is."""


class Environment(StrEnum):
    """Fuse's two environments. Each has its own keys and its own base URL."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

    __hash__ = str.__hash__  # Enum's own is Python code, and this is looked up by for every event


@struct
class Event:
    """A verified webhook with its identity, as ingress publishes it and handlers receive it.

    `type`, `connection` and `aggregator` are what the body says, verbatim, and empty where it says nothing usable;
    they come from outside and may hold any text. `body` is the request's body, byte for byte.
    `verification` is the value of the `fuse-verification` header. `generation` is 0 for an event as it arrived and
    one higher for each deliberate re-send. `group` names the one group that a re-send is for (None: every
    group), and `replay` what sent it again. `extra_headers` are those of the record that the contract does not know.
    """

    id: str
    tenant: str
    environment: Environment
    type: str
    connection: str
    aggregator: str
    received_at: datetime
    verification: str = field(repr=False)
    body: bytes = field(repr=False)
    generation: int = 0
    traceparent: str | None = None
    group: str | None = None
    replay: str | None = None
    extra_headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def idempotency_key(self) -> str:
        """Name this event and generation: the same over retries, rebalances and restarts."""
        return f"{self.id}:{self.generation}"

    def is_for(self, group: str) -> bool:
        """Say whether `group` has to handle this event: a re-send may be for another group alone."""
        return self.group is None or self.group == group

"""The handler: what a group does with an event."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from schemas.event import Event
from schemas.outcome import HandlerResult, Ignored
from schemas.structs import struct


@struct
class Context:
    """What a handler knows beside the event.

    `idempotency_key` is the same over retries, rebalances and restarts; `attempt` counts from 1, on and on while the
    event is parked, but a restart forgets those that were not parked yet.
    """

    idempotency_key: str
    attempt: int


Handler = Callable[[Event, Context], Awaitable[HandlerResult]]
"""Do what the event asks for.

Return Applied or Ignored; raise Retryable (with `retry_after` in seconds if the other side named one) or Permanent.
Any other exception counts as Retryable.
"""


@runtime_checkable
class HasDestination(Protocol):
    """A handler that says whom it is going to call, so that calls to whoever is down as a whole are held.

    It raises DestinationDown for a call that failed for such a reason; with any other answer the destination works.
    """

    def destination(self, event: Event) -> str | None:
        """Give the base URL that handling this event will call; None if it will call nobody."""


def destination_of(handler: object) -> Callable[[Event], str | None]:
    """Give what says whom a handler calls: nobody, for one that does not tell."""
    return handler.destination if isinstance(handler, HasDestination) else _nobody


def _nobody(_: Event) -> None:
    return None


ANOTHER_GROUP = "replayed_for_another_group"
"""The reason of what is ignored since somebody sent it again for another group alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressedTo:
    """Let `handler` see only what is for `group`: the source is shared, and a replay is for one group alone."""

    group: str
    handler: Handler
    _destination: Callable[[Event], str | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Look up once whom the handler calls: to ask a protocol for each event costs a tenth of all that we do."""
        object.__setattr__(self, "_destination", destination_of(self.handler))

    def __call__(self, event: Event, context: Context) -> Awaitable[HandlerResult]:
        """Handle an event, or ignore what is for another group."""
        return self.handler(event, context) if event.is_for(self.group) else _ignored()

    def destination(self, event: Event) -> str | None:
        """Give what the handler does; nobody is called for another group's event."""
        return self._destination(event) if event.is_for(self.group) else None


async def _ignored() -> HandlerResult:
    return Ignored(reason=ANOTHER_GROUP)

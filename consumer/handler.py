"""The handler: what a group does with an event."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schemas.event import Event
from schemas.outcome import HandlerResult, Ignored


@dataclass(frozen=True, slots=True, kw_only=True)
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

ANOTHER_GROUP = "replayed_for_another_group"
"""The reason of what is ignored since somebody sent it again for another group alone."""


def addressed_to(group: str, handler: Handler) -> Handler:
    """Let `handler` see only what is for `group`: the source is shared, and a replay is for one group alone."""

    async def handle(event: Event, context: Context) -> HandlerResult:
        if not event.is_for(group):
            return Ignored(reason=ANOTHER_GROUP)
        return await handler(event, context)

    return handle

"""Calls: runs the handler on one event, as often as its lane's budget, or its turn, allows."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.engine.retry import LaneBudget
from consumer.handler import Context, Handler, destination_of
from consumer.handling import Handling, Waits
from consumer.holds import Holds
from consumer.retry import Trial, attempt_within, describe
from schemas.errors import DestinationDown, Permanent, Retryable
from schemas.event import Event
from schemas.outcome import HandlerResult
from schemas.record import encode_attribute
from schemas.telemetry import LogEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Handle events with `handler`, within `budget`, when `holds` let them. `clock` gives seconds since the epoch."""

    handler: Handler
    budget: LaneBudget
    clock: Callable[[], float] = time.time
    holds: Holds = field(default_factory=Holds)
    destination: Callable[[Event], str | None] = field(init=False)

    def __post_init__(self) -> None:
        """Look up once whether the handler says whom it calls."""
        object.__setattr__(self, "destination", destination_of(self.handler))

    def milliseconds(self) -> int:
        """Give the time in milliseconds since the epoch."""
        return _milliseconds(self.clock())

    def handling(self, waiting: Waiting, destination: str | None, waits: Waits) -> Handling:
        """Begin the handling of an event that calls `destination`, and has its permission for the first attempt."""
        return Handling(waiting, destination, waits, self.clock)

    async def handle(self, handling: Handling) -> Ending:
        """Handle an event until it is done or its budget is spent; a parked one is tried once."""
        # Before the clock is read: a time in which nobody may be called uses up nobody's budget.
        await handling.lease()
        called = self.clock()
        # What only a failure needs is made after one: most events are called once.
        result, attempts = await attempt_within(
            partial(self._attempt, handling), called, partial(self._trial, handling)
        )
        return Ending(
            result=result,
            attempts=attempts,
            called=_milliseconds(called),
            ended=_milliseconds(self.clock()),
            spared=handling.spared,
        )

    async def _attempt(self, handling: Handling, number: int) -> HandlerResult:
        """Call, and tell the hold what that shows of the destination; an error of the handler's own shows nothing."""
        event = handling.waiting.event
        if number > 1:
            await self._pass(handling)
        context = Context(idempotency_key=event.idempotency_key, attempt=handling.call())
        began, handling.was_spared = self.holds.now(), False
        try:
            result = await self.handler(event, context)
        except DestinationDown:
            fresh = number == 1 and not handling.waiting.parked
            handling.was_spared = self.holds.failed(handling.destination, began, fresh=fresh)
            handling.spared += handling.was_spared
            raise
        except (Retryable, Permanent):
            self.holds.succeeded(handling.destination, began)
            raise
        except asyncio.CancelledError:
            if _is_told_to_stop():
                raise
            raise Retryable("the handler was cancelled from within") from None
        self.holds.succeeded(handling.destination, began)
        return result

    async def _pass(self, handling: Handling) -> None:
        """Wait until the destination may be called again, and for the lease."""
        event = handling.waiting.event
        destination = partial(self.destination, event)  # anew each time: a tenant's configuration may change
        if not self.holds.may_start(destination()):
            await handling.pass_hold(partial(self.holds.passed, destination, event.tenant))
        handling.destination = destination()
        await handling.lease()

    def _trial(self, handling: Handling) -> Trial:
        """Say how a failed event is tried again."""
        waiting = handling.waiting

        def failed(number: int, error: BaseException, wait: float) -> None:
            handling.error = describe(error)
            _log_delay(waiting.event, waiting.tried.attempts + number, error, wait, self.clock())

        return Trial(
            budget=replace(self.budget, attempts=1) if waiting.parked else self.budget,
            clock=lambda: self.clock() - handling.held,
            sleep=partial(handling.pause, sleep=asyncio.sleep),
            failed=failed,
            # What is parked waits there: its turn is needed for those who can be called.
            spares=lambda: handling.was_spared and not waiting.parked,
        )


def _is_told_to_stop() -> bool:
    """Say whether somebody wants this task to end: a handler may also be cancelled by what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _log_delay(event: Event, attempts: int, error: BaseException, wait: float, now: float) -> None:
    """Log a failed attempt, with the event's age: how long its lane has been waiting for it."""
    structlog.get_logger().warning(
        LogEvent.EVENT_DELAYED,
        event_id=event.id,
        tenant=event.tenant,
        connection=encode_attribute(event.connection).decode(),
        attempts=attempts,
        error=describe(error),
        age_seconds=round(now - event.received_at.timestamp(), 3),
        next_attempt_seconds=round(wait, 3),
    )

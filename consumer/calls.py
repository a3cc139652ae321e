"""Calls: runs the handler on one event, as often as its lane's budget, or its turn, allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import structlog

from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.engine.retry import LaneBudget
from consumer.handler import Context, Handler, destination_of
from consumer.holds import Holds, now
from consumer.progress import Progress
from consumer.retry import Trial, attempt_within, describe
from schemas.errors import DestinationDown, Permanent, Retryable
from schemas.event import Event
from schemas.outcome import HandlerResult
from schemas.record import encode_attribute
from schemas.telemetry import LogEvent

Wait = Callable[[], Awaitable[None]]


async def _in_place(wait: Wait) -> None:
    await wait()


class _Waits(NamedTuple):
    """How an event waits: between its attempts, for the lease, and for whatever `held` is given."""

    sleep: Callable[[float], Awaitable[None]]
    leased: Wait
    held: Callable[[Wait], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class _Work:
    """The work on one event: whom it calls, the seconds it was held, and the attempts that only show an outage."""

    waiting: Waiting
    progress: Progress
    waits: _Waits
    destination: str | None = None
    held: float = 0.0
    spared: int = 0
    was_spared: bool = False


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

    async def handle(
        self,
        waiting: Waiting,
        sleep: Callable[[float], Awaitable[None]],
        leased: Wait,
        held: Callable[[Wait], Awaitable[None]] = _in_place,
        progress: Progress | None = None,
    ) -> Ending:
        """Handle an event until it is done or its budget is spent; a parked one is tried once.

        `sleep` waits between attempts; `leased` waits, before each, until this member surely owns the partition. Who
        calls this has the destination's permission for the first; `held` carries out the wait for a further one.
        `progress` says meanwhile how far it is, to whoever asks.
        """
        progress = progress or self.progress(waiting)
        # Before the clock is read: a time in which nobody may be called uses up nobody's budget.
        await progress.leased(leased)
        called = self.clock()
        work = _Work(waiting=waiting, progress=progress, waits=_Waits(sleep, leased, held))
        # What only a failure needs is made after one: most events are called once.
        result, attempts = await attempt_within(partial(self._attempt, work), called, partial(self._trial, work))
        return Ending(
            result=result,
            attempts=attempts,
            called=_milliseconds(called),
            ended=_milliseconds(self.clock()),
            spared=work.spared,
        )

    async def _attempt(self, work: _Work, number: int) -> HandlerResult:
        """Call, and tell the hold what that shows of the destination; an error of the handler's own shows nothing."""
        if number > 1:
            await self._pass(work)
        event, attempt = work.waiting.event, work.waiting.tried.attempts + number
        work.destination = self.destination(event)  # anew each time: a tenant's configuration may have changed
        work.progress.called(attempt)
        began, work.was_spared = now(), False
        try:
            result = await self._call(event, Context(idempotency_key=event.idempotency_key, attempt=attempt))
        except DestinationDown:
            fresh = number == 1 and not work.waiting.parked
            work.was_spared = self.holds.failed(work.destination, began, fresh=fresh)
            work.spared += work.was_spared
            raise
        except (Retryable, Permanent):
            self.holds.succeeded(work.destination, began)
            raise
        self.holds.succeeded(work.destination, began)
        return result

    async def _pass(self, work: _Work) -> None:
        """Wait until the destination may be called again, and for the lease; the former is not the event's time."""
        event = work.waiting.event
        if not self.holds.may_start(self.destination(event)):
            began = self.clock()
            await work.waits.held(partial(self.holds.passed, partial(self.destination, event), event.tenant))
            work.held += self.clock() - began
        await work.progress.leased(work.waits.leased)

    def _trial(self, work: _Work) -> Trial:
        """Say how a failed event is tried again."""
        waiting = work.waiting

        def failed(number: int, error: BaseException, wait: float) -> None:
            work.progress.failed(describe(error))
            _log_delay(waiting.event, waiting.tried.attempts + number, error, wait, self.clock())

        return Trial(
            budget=replace(self.budget, attempts=1) if waiting.parked else self.budget,
            clock=lambda: self.clock() - work.held,
            sleep=partial(work.progress.pause, sleep=work.waits.sleep),
            failed=failed,
            # What is parked waits there: its turn is needed for those who can be called.
            spares=lambda: work.was_spared and not waiting.parked,
        )

    def progress(self, waiting: Waiting) -> Progress:
        """Begin to follow the handling of an event."""
        return Progress(offset=waiting.offset, attempts=waiting.tried.attempts, clock=self.clock, since=self.clock())

    async def _call(self, event: Event, context: Context) -> HandlerResult:
        try:
            return await self.handler(event, context)
        except asyncio.CancelledError:
            if _is_told_to_stop():
                raise
            raise Retryable("the handler was cancelled from within") from None


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

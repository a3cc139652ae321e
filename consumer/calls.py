"""Calls: runs the handler on one event, as often as its lane's budget, or its turn, allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

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


@dataclass(slots=True, kw_only=True)
class _Work:
    """The work on one event: whom it calls, the seconds it was held, and the attempts that only show an outage.

    An attempt is fresh if it is the very first.
    """

    destination: str | None = None
    held: float = 0.0
    spared: int = 0
    was_spared: bool = False
    is_fresh: bool = False


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
        event, before = waiting.event, waiting.tried.attempts
        progress = progress or self.progress(waiting)
        # Before the clock is read: a time in which nobody may be called uses up nobody's budget.
        await progress.leased(leased)
        called, work = self.clock(), _Work()

        async def attempt(number: int) -> HandlerResult:
            if number > 1:
                await self._pass(event, work, held)
                await progress.leased(leased)
            work.destination = self.destination(event)
            progress.called(before + number)
            work.is_fresh = number == 1 and not waiting.parked
            context = Context(idempotency_key=event.idempotency_key, attempt=before + number)
            return await self._report(work, partial(self._call, event, context))

        def failed(number: int, error: BaseException, wait: float) -> None:
            progress.failed(describe(error))
            _log_delay(event, before + number, error, wait, self.clock())

        budget = replace(self.budget, attempts=1) if waiting.parked else self.budget
        trial = Trial(
            budget=budget,
            clock=lambda: self.clock() - work.held,
            sleep=partial(progress.pause, sleep=sleep),
            failed=failed,
            # What is parked waits there: its turn is needed for those who can be called.
            spares=lambda: work.was_spared and not waiting.parked,
        )
        result, attempts = await attempt_within(attempt, trial)
        return Ending(
            result=result,
            attempts=attempts,
            called=_milliseconds(called),
            ended=_milliseconds(self.clock()),
            spared=work.spared,
        )

    async def _pass(self, event: Event, work: _Work, held: Callable[[Wait], Awaitable[None]]) -> None:
        """Wait until the destination may be called; that time is not the event's."""
        if not self.holds.may_start(self.destination(event)):
            began = self.clock()
            await held(partial(self.holds.passed, partial(self.destination, event), event.tenant))
            work.held += self.clock() - began

    async def _report(self, work: _Work, call: Callable[[], Awaitable[HandlerResult]]) -> HandlerResult:
        """Call, and tell the hold what that shows of the destination; an error of the handler's own shows nothing."""
        began, work.was_spared = now(), False
        try:
            result = await call()
        except DestinationDown:
            work.was_spared = self.holds.failed(work.destination, began, fresh=work.is_fresh)
            work.spared += work.was_spared
            raise
        except (Retryable, Permanent):
            self.holds.succeeded(work.destination, began)
            raise
        self.holds.succeeded(work.destination, began)
        return result

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

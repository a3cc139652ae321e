"""Calls: runs the handler on one event, as often as its lane's budget, or its turn, allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.engine.retry import LaneBudget
from consumer.handler import Context, Handler
from consumer.progress import Progress
from consumer.retry import Trial, attempt_within, describe
from schemas.errors import Retryable
from schemas.event import Event
from schemas.outcome import HandlerResult
from schemas.record import encode_attribute
from schemas.telemetry import LogEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Handle events with `handler`, within `budget`. `clock` gives seconds since the epoch."""

    handler: Handler
    budget: LaneBudget
    clock: Callable[[], float] = time.time

    async def handle(
        self,
        waiting: Waiting,
        sleep: Callable[[float], Awaitable[None]],
        leased: Callable[[], Awaitable[None]],
        progress: Progress | None = None,
    ) -> Ending:
        """Handle an event until it is done or its budget is spent; a parked one is tried once.

        `sleep` waits between attempts; `leased` waits, before each, until this member surely owns the partition.
        `progress` says meanwhile how far it is, to whoever asks.
        """
        event, before = waiting.event, waiting.tried.attempts
        progress = progress or self.progress(waiting)
        await progress.leased(
            leased
        )  # before the clock is read: a time in which nobody may be called uses up nobody's budget
        called = self.clock()

        async def attempt(number: int) -> HandlerResult:
            if number > 1:
                await progress.leased(leased)
            progress.called(before + number)
            return await self._call(event, Context(idempotency_key=event.idempotency_key, attempt=before + number))

        def failed(number: int, error: BaseException, wait: float) -> None:
            progress.failed(describe(error))
            _log_delay(event, before + number, error, wait, self.clock())

        budget = replace(self.budget, attempts=1) if waiting.parked else self.budget
        trial = Trial(budget=budget, clock=self.clock, sleep=partial(progress.pause, sleep=sleep), failed=failed)
        result, attempts = await attempt_within(attempt, trial)
        return Ending(result=result, attempts=attempts, called=_milliseconds(called), ended=_milliseconds(self.clock()))

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

"""Calls: runs the handler on one event until it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from consumer.engine.partition import Ending
from consumer.handler import Context, Handler
from consumer.retry import Backoff, until_done
from schemas.errors import FuseSyncError, Retryable
from schemas.event import Event
from schemas.outcome import HandlerResult
from schemas.record import encode_attribute
from schemas.telemetry import LogEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Handle events with `handler`, waiting between attempts as `backoff` says."""

    handler: Handler
    backoff: Backoff

    async def until_done(
        self, event: Event, sleep: Callable[[float], Awaitable[None]], leased: Callable[[], Awaitable[None]]
    ) -> Ending:
        """Handle an event, again and again until it is done.

        `sleep` waits between attempts; `leased` waits, before each, until this member surely owns the partition.
        """
        called = _now()

        async def attempt(number: int) -> HandlerResult:
            await leased()
            return await self._handle(event, Context(idempotency_key=event.idempotency_key, attempt=number))

        def failed(number: int, error: BaseException, wait: float) -> None:
            _log_delay(event, number, error, wait)

        result, attempts = await until_done(attempt, self.backoff, sleep=sleep, failed=failed)
        return Ending(result=result, attempts=attempts, called=called, ended=_now())

    async def _handle(self, event: Event, context: Context) -> HandlerResult:
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


def _now() -> int:
    return time.time_ns() // 1_000_000


def _log_delay(event: Event, attempts: int, error: BaseException, wait: float) -> None:
    """Log a failed attempt, with the event's age: how long its lane has been waiting for it.

    Only errors of ours say what went wrong: the text of any other may quote what must not be logged.
    """
    ours = isinstance(error, FuseSyncError)
    structlog.get_logger().warning(
        LogEvent.EVENT_DELAYED,
        event_id=event.id,
        tenant=event.tenant,
        connection=encode_attribute(event.connection).decode(),
        attempts=attempts,
        error=str(error) if ours else type(error).__name__,
        age_seconds=round(time.time() - event.received_at.timestamp(), 3),
        next_attempt_seconds=round(wait, 3),
    )

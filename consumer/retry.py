"""Retrying in the lane: how long to wait is decided by a pure function, tenacity carries it out."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never

from schemas.errors import Retryable
from schemas.outcome import HandlerResult

Attempt = Callable[[int], Awaitable[HandlerResult]]
"""Make the attempt of this number, counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waiting: `initial` seconds after the first failure, doubled after each further one, up to `most`."""

    initial: float
    most: float

    def wait(self, attempt: int, *, retry_after: float | None, jitter: float) -> float:
        """Decide how many seconds to wait after failed attempt number `attempt`.

        `jitter` is drawn from 0 to 1 and only ever lengthens the wait, by up to the exponential part, so that a
        crowd that failed together comes back spread out. A `retry_after` is never shortened.
        """
        doubled = min(self.most, self.initial * 2.0 ** min(attempt - 1, 60))
        return max(doubled, retry_after or 0.0) + jitter * doubled


async def until_done(
    attempt: Attempt,
    backoff: Backoff,
    *,
    sleep: Callable[[float], Awaitable[None]],
    failed: Callable[[int, BaseException, float], None],
) -> tuple[HandlerResult, int]:
    """Attempt until it works; give the result and the number of attempts made.

    `failed` hears of each failure: the attempt's number, the error, and the seconds until the next. The first attempt
    is made without tenacity, which most events never need and which costs more than all else on their path.
    """
    try:
        return await attempt(1), 1
    except Exception as error:  # noqa: BLE001 - the handler's edge: whatever it raises, the event is not done
        first: Exception | None = error
    made = 0

    async def again() -> HandlerResult:
        nonlocal first, made
        made += 1
        if first is not None:
            error, first = first, None
            raise error
        return await attempt(made)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Exception),
        stop=stop_never,
        wait=lambda state: _wait(state, backoff),
        before_sleep=lambda state: _tell(state, failed),
        sleep=sleep,
    )
    return await retrying(again), made


def _wait(state: RetryCallState, backoff: Backoff) -> float:
    error = _error(state)
    retry_after = error.retry_after if isinstance(error, Retryable) else None
    return backoff.wait(state.attempt_number, retry_after=retry_after, jitter=random.random())  # noqa: S311 - not a secret


def _tell(state: RetryCallState, failed: Callable[[int, BaseException, float], None]) -> None:
    error = _error(state)
    if error is not None:
        failed(state.attempt_number, error, state.upcoming_sleep)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None

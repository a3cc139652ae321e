"""Trying again in the lane: whether and when is decided by the engine's budget, tenacity carries it out."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf, isnan

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, retry_if_not_exception_type

from consumer.engine.retry import Failed, LaneBudget
from schemas.errors import FuseSyncError, Misconfigured, Permanent, Retryable
from schemas.outcome import HandlerResult

_MOST_ERROR = 1_000
"""Characters of an error's text that are repeated: it goes into records, whose size is bounded."""
_MOST_SECONDS = 1e9
"""The longest time that the other side can ask us to wait: it has to be a time that can be written down."""

_IS_TRIED_AGAIN = retry_if_exception_type(Exception) & retry_if_not_exception_type((Permanent, Misconfigured))

Attempt = Callable[[int], Awaitable[HandlerResult]]
"""Make the attempt of this number, counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How an event is tried: within this budget, with a clock in seconds, and a sleep that may be cancelled.

    `failed` hears of each failure that is tried again: the attempt's number, the error, and the seconds until then.
    `spares` says of the failure just raised that it is not to be counted: the budget's time begins anew after it.
    """

    budget: LaneBudget
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    failed: Callable[[int, BaseException, float], None]
    spares: Callable[[], bool] = lambda: False


async def attempt_within(
    attempt: Attempt, begun: float, trial: Callable[[], Trial]
) -> tuple[HandlerResult | Failed, int]:
    """Attempt until it works, until it cannot, or until the budget is spent; give how many attempts were made.

    `begun` is the time by the trial's clock. The first attempt is made without tenacity and without the trial, which
    most events never need and which cost more than all else on their path.
    """
    try:
        return await attempt(1), 1
    except Exception as error:  # noqa: BLE001 - the handler's edge: whatever it raises, the event is not done
        return await _again(attempt, trial(), begun, error)


async def _again(attempt: Attempt, trial: Trial, begun: float, first: Exception) -> tuple[HandlerResult | Failed, int]:
    made = spared = 0

    async def again() -> HandlerResult:
        nonlocal made
        made += 1
        if made == 1:
            raise first
        return await attempt(made)

    def wait(state: RetryCallState) -> float:
        nonlocal spared, begun
        after, jitter = _retry_after(_error(state)), _jitter()
        if trial.spares():
            spared, begun = spared + 1, trial.clock()
            return trial.budget.backoff.wait(1, retry_after=after, jitter=jitter)
        counted, elapsed = state.attempt_number - spared, trial.clock() - begun
        seconds = trial.budget.wait(counted, elapsed, retry_after=after, jitter=jitter)
        return inf if seconds is None else seconds

    def tell(state: RetryCallState) -> None:
        trial.failed(state.attempt_number, _error(state), state.upcoming_sleep)

    retrying = AsyncRetrying(
        retry=_IS_TRIED_AGAIN,
        wait=wait,
        stop=lambda state: state.upcoming_sleep == inf,
        before_sleep=tell,
        sleep=trial.sleep,
        reraise=True,
    )
    try:
        return await retrying(again), made
    except Exception as error:  # noqa: BLE001 - as above
        failure = _failure(error)
        _forget_origin(error)
        return failure, made
    finally:
        _forget_origin(first)
        retrying.iter_state.reset()


def _forget_origin(error: BaseException) -> None:
    """Forget where an error was raised: its frames hold it as it holds them, and the event and its body with it.

    Without this each failed event stays in memory until garbage is collected, which is rare.
    """
    error.__traceback__ = error.__context__ = None


def _failure(error: Exception) -> Failed:
    return Failed(
        error=describe(error),
        jitter=_jitter(),
        permanent=isinstance(error, Permanent),
        misconfigured=isinstance(error, Misconfigured),
        retry_after=_retry_after(error),
        status=error.status if isinstance(error, Retryable | Permanent) else None,
    )


def describe(error: BaseException) -> str:
    """Say what went wrong, as text that can be written in UTF-8.

    Only errors of ours say it themselves: any other may quote what must not be repeated.
    """
    text = str(error) if isinstance(error, FuseSyncError) else type(error).__name__
    return text[:_MOST_ERROR].encode(errors="backslashreplace").decode()


def _retry_after(error: BaseException) -> float | None:
    seconds = error.retry_after if isinstance(error, Retryable) else None
    return None if seconds is None or isnan(seconds) else min(seconds, _MOST_SECONDS)


def _jitter() -> float:
    return random.random()  # noqa: S311 - not a secret


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    if error is None:
        raise TypeError("tenacity asks what to do about an attempt that did not fail")
    return error

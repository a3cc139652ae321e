"""Retrying in the lane: how long is waited, and what counts as an attempt."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.retry import Backoff, until_done
from schemas.errors import Permanent, Retryable
from schemas.outcome import Applied, HandlerResult
from tests.consumer.fakes import in_virtual_time, now

BACKOFFS = st.tuples(st.floats(0.001, 60), st.floats(1, 100)).map(
    lambda drawn: Backoff(initial=drawn[0], most=drawn[0] * drawn[1])
)
ATTEMPTS = st.integers(1, 100_000)
JITTERS = st.floats(0, 1, exclude_max=True)
NAMED = st.none() | st.floats(0, 1e9)


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=st.floats(0, 1e9))
def test_what_the_other_side_asked_for_is_never_shortened(
    backoff: Backoff, attempt: int, jitter: float, retry_after: float
) -> None:
    """Whatever the jitter, and however early the attempt."""
    assert backoff.wait(attempt, retry_after=retry_after, jitter=jitter) >= retry_after


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=NAMED)
def test_jitter_only_lengthens(backoff: Backoff, attempt: int, jitter: float, retry_after: float | None) -> None:
    """By no more than the exponential part, and by more the more of it is drawn."""
    without = backoff.wait(attempt, retry_after=retry_after, jitter=0)
    wait = backoff.wait(attempt, retry_after=retry_after, jitter=jitter)
    assert without <= wait <= backoff.wait(attempt, retry_after=retry_after, jitter=1)
    assert wait <= without + backoff.most


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS)
def test_a_wait_is_bounded_on_both_sides(backoff: Backoff, attempt: int, jitter: float) -> None:
    """Never less than the first, never more than twice the longest, not after a hundred thousand attempts either."""
    assert backoff.initial <= backoff.wait(attempt, retry_after=None, jitter=jitter) <= 2 * backoff.most


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=NAMED)
def test_waits_do_not_become_shorter(backoff: Backoff, attempt: int, jitter: float, retry_after: float | None) -> None:
    """A further failure never makes us more impatient."""
    first, second = (backoff.wait(n, retry_after=retry_after, jitter=jitter) for n in (attempt, attempt + 1))
    assert first <= second


def test_waits_double_up_to_the_longest() -> None:
    """The numbers that an operator sees."""
    backoff = Backoff(initial=0.5, most=6)
    waits = [backoff.wait(attempt, retry_after=None, jitter=0) for attempt in range(1, 8)]
    assert waits == [0.5, 1, 2, 4, 6, 6, 6]
    assert backoff.wait(2, retry_after=30, jitter=0.5) == 30.5


def test_jitter_is_drawn_anew_for_each_wait() -> None:
    """A crowd that failed together comes back spread out."""
    told = Told()
    in_virtual_time(_attempts([Retryable("no")] * 200, told, Backoff(initial=1, most=1)))
    assert len(set(told.waits)) == 200
    assert all(1 <= wait < 2 for wait in told.waits)
    assert min(told.waits) < 1.1
    assert max(told.waits) > 1.9


@dataclass(slots=True)
class Told:
    """What `until_done` said and did."""

    numbers: list[int] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def failed(self, number: int, error: BaseException, wait: float) -> None:
        """Hear of a failure."""
        self.failures.append((number, str(error)))
        self.waits.append(wait)

    async def sleep(self, seconds: float) -> None:
        """Note it, and sleep."""
        self.slept.append(seconds)
        await asyncio.sleep(seconds)


def _scripted(steps: list[BaseException], told: Told) -> Callable[[int], Awaitable[HandlerResult]]:
    left = [*steps]

    async def attempt(number: int) -> HandlerResult:
        told.numbers.append(number)
        await asyncio.sleep(0)
        if left:
            raise left.pop(0)
        return Applied(status=200)

    return attempt


async def _attempts(
    steps: list[BaseException], told: Told, backoff: Backoff | None = None
) -> tuple[HandlerResult, int]:
    usual = Backoff(initial=1, most=60)
    return await until_done(_scripted(steps, told), backoff or usual, sleep=told.sleep, failed=told.failed)


def test_a_first_attempt_that_works_is_all_there_is() -> None:
    """Nothing is slept, nobody hears of a failure."""
    told = Told()
    assert in_virtual_time(_attempts([], told)) == (Applied(status=200), 1)
    assert told == Told([1])


def test_every_failure_is_told_once_with_its_number_and_its_wait() -> None:
    """Numbers have no gap, although the first attempt is made apart, and what is told is what is slept."""
    told = Told()
    steps: list[BaseException] = [Retryable("a"), OSError("b"), Permanent("c")]
    assert in_virtual_time(_attempts(steps, told)) == (Applied(status=200), 4)
    assert told.numbers == [1, 2, 3, 4]
    assert told.failures == [(1, "a"), (2, "b"), (3, "c")]
    assert told.slept == told.waits
    assert [1 <= told.waits[0] < 2, 2 <= told.waits[1] < 4, 4 <= told.waits[2] < 8] == [True] * 3


def test_the_wait_that_the_other_side_asked_for_is_kept_after_the_first_failure_and_after_later_ones() -> None:
    """And only after the failure that named it."""
    told = Told()
    in_virtual_time(_attempts([Retryable("a", retry_after=600), Retryable("b"), Retryable("c", retry_after=700)], told))
    assert [600 <= told.waits[0] < 601, told.waits[1] < 4, 700 <= told.waits[2] < 704] == [True] * 3


def test_who_is_cancelled_while_waiting_makes_no_further_attempt() -> None:
    """The cancellation goes through."""
    told = Told()

    async def story() -> None:
        waiting = asyncio.create_task(_attempts([Retryable("a", retry_after=1000)], told))
        await asyncio.sleep(500)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert now() == 500

    in_virtual_time(story())
    assert told.numbers == [1]


@pytest.mark.parametrize("earlier", [0, 1, 3])
def test_who_is_cancelled_within_an_attempt_makes_no_further_one(earlier: int) -> None:
    """Neither within the first, nor within one of those that are made again."""
    told = Told()
    attempt = _scripted([Retryable("a")] * earlier, told)

    async def hang(number: int) -> HandlerResult:
        if number > earlier:
            told.numbers.append(number)
            await asyncio.Event().wait()
        return await attempt(number)

    async def story() -> None:
        usual = Backoff(initial=1, most=60)
        running = asyncio.create_task(until_done(hang, usual, sleep=told.sleep, failed=told.failed))
        await asyncio.sleep(1000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    in_virtual_time(story())
    assert told.numbers == [*range(1, earlier + 2)]
    assert len(told.failures) == earlier


@pytest.mark.parametrize("earlier", [0, 2])
def test_what_ends_the_process_is_no_failed_attempt(earlier: int) -> None:
    """It comes out at once, and is not retried."""

    class End(BaseException):
        """As SystemExit is one."""

    told = Told()
    with pytest.raises(End):
        in_virtual_time(_attempts([*[Retryable("a")] * earlier, End()], told))
    assert len(told.numbers) == earlier + 1
    assert len(told.failures) == earlier

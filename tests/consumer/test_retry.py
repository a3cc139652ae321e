"""Retrying in the lane: what counts as an attempt, what is waited, and what is left when the budget is spent."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from consumer.engine.retry import Backoff, Failed, LaneBudget
from consumer.retry import Trial, attempt_within
from schemas.errors import Permanent, Retryable
from schemas.outcome import Applied, HandlerResult
from tests.consumer.fakes import in_virtual_time, now

LANE = LaneBudget(backoff=Backoff(initial=1, most=60), attempts=10, seconds=2_000)


def test_jitter_is_drawn_anew_for_each_wait() -> None:
    """A crowd that failed together comes back spread out."""
    told = Told()
    budget = LaneBudget(backoff=Backoff(initial=1, most=1), attempts=201, seconds=1_000)
    in_virtual_time(_attempts([Retryable("no")] * 200, told, budget))
    assert len(set(told.waits)) == 200
    assert all(1 <= wait < 2 for wait in told.waits)
    assert min(told.waits) < 1.1
    assert max(told.waits) > 1.9


@dataclass(slots=True)
class Told:
    """What `attempt_within` said and did."""

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


def _trial(told: Told, budget: LaneBudget = LANE) -> Trial:
    return Trial(budget=budget, clock=now, sleep=told.sleep, failed=told.failed)


async def _attempts(
    steps: list[BaseException], told: Told, budget: LaneBudget = LANE
) -> tuple[HandlerResult | Failed, int]:
    return await attempt_within(_scripted(steps, told), now(), lambda: _trial(told, budget))


def test_a_first_attempt_that_works_is_all_there_is() -> None:
    """Nothing is slept, nobody hears of a failure."""
    told = Told()
    assert in_virtual_time(_attempts([], told)) == (Applied(status=200), 1)
    assert told == Told([1])


def test_every_failure_is_told_once_with_its_number_and_its_wait() -> None:
    """Numbers have no gap, although the first attempt is made apart, and what is told is what is slept."""
    told = Told()
    steps: list[BaseException] = [Retryable("a"), OSError("b"), Retryable("c")]
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


@pytest.mark.parametrize("earlier", [0, 1, 3])
def test_what_is_permanent_is_tried_no_more(earlier: int) -> None:
    """Whether it is so from the start or becomes it; nothing is slept, and nobody hears of a next attempt."""
    told = Told()
    failed, attempts = in_virtual_time(_attempts([*[Retryable("a")] * earlier, Permanent("gone", status=410)], told))
    assert isinstance(failed, Failed)
    assert (failed.error, failed.permanent, failed.status, attempts) == ("gone", True, 410, earlier + 1)
    assert len(told.slept) == len(told.failures) == earlier


def test_the_last_failure_is_what_is_left_when_the_attempts_are_spent() -> None:
    """With what it asked for, which the parked log has to keep."""
    told = Told()
    budget = LaneBudget(backoff=Backoff(initial=1, most=60), attempts=3, seconds=1_000)
    steps: list[BaseException] = [
        Retryable("a", status=500),
        Retryable("b", status=501),
        Retryable("c", status=429, retry_after=7),
    ]
    failed, attempts = in_virtual_time(_attempts(steps, told, budget))
    assert isinstance(failed, Failed)
    assert (failed.error, failed.status, failed.retry_after, failed.permanent) == ("c", 429, 7, False)
    assert 0 <= failed.jitter < 1
    assert (attempts, told.numbers, told.failures) == (3, [1, 2, 3], [(1, "a"), (2, "b")])


def test_no_wait_is_begun_that_the_budget_of_time_does_not_cover() -> None:
    """The lane is parked at once instead of waiting to no purpose."""

    async def story() -> None:
        told = Told()
        budget = LaneBudget(backoff=Backoff(initial=1, most=60), attempts=10, seconds=100)
        failed, attempts = await _attempts([Retryable("a"), Retryable("b", retry_after=99)], told, budget)
        assert isinstance(failed, Failed)
        assert (failed.retry_after, attempts, len(told.slept)) == (99, 2, 1)
        assert now() < 2

    in_virtual_time(story())


def test_the_budget_of_time_holds_over_all_attempts_together() -> None:
    """However short each wait is."""

    async def story() -> None:
        budget = LaneBudget(backoff=Backoff(initial=1, most=1), attempts=1_000, seconds=10)
        failed, attempts = await _attempts([Retryable("a")] * 1_000, Told(), budget)
        assert isinstance(failed, Failed)
        assert 5 <= attempts <= 11
        assert 8 < now() <= 10

    in_virtual_time(story())


@pytest.mark.parametrize(("asked", "kept"), [(float("inf"), 1e9), (1e300, 1e9), (float("nan"), None), (-5.0, -5.0)])
def test_a_wait_that_no_calendar_holds_is_cut(asked: float, kept: float | None) -> None:
    """A handler that names one would else end the member: when an event is due is written down as a number."""
    failed, _ = in_virtual_time(_attempts([Retryable("a", retry_after=asked), Permanent("b")], Told()))
    assert isinstance(failed, Failed)
    assert (failed.error, failed.retry_after) == (("a", kept) if asked > 0 else ("b", None))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Retryable("x" * 100_000), "x" * 1_000),
        (Permanent("\ud800"), "\\ud800"),
        (RuntimeError("Bearer s3cr3t"), "RuntimeError"),
    ],
)
def test_what_is_said_of_an_error_can_be_written_into_a_record(error: Exception, text: str) -> None:
    """A text that is too long for it, or none that UTF-8 can hold, would else end the member at this event for ever."""
    budget = LaneBudget(backoff=Backoff(initial=1, most=60), attempts=1, seconds=60)
    failed, _ = in_virtual_time(_attempts([error], Told(), budget))
    assert isinstance(failed, Failed)
    assert failed.error == text


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
        running = asyncio.create_task(attempt_within(hang, now(), lambda: _trial(told)))
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


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_failed_event_is_forgotten_once_it_is_given_back(attempts: int) -> None:
    """Its errors hold their frames and these the event: nobody may wait for the garbage collector."""

    class Body:
        pass

    async def fail(body: Body) -> None:
        async def attempt(_: int) -> HandlerResult:
            raise Retryable(f"cannot use {type(body)}")

        budget = LaneBudget(backoff=Backoff(initial=1, most=1), attempts=attempts, seconds=1_000)
        trial = Trial(budget=budget, clock=now, sleep=asyncio.sleep, failed=lambda *_: None)
        _, made = await attempt_within(attempt, now(), lambda: trial)
        assert made == attempts

    async def forgotten() -> bool:
        body = Body()
        known = weakref.ref(body)
        await fail(body)
        del body
        return known() is None

    gc.disable()
    try:
        assert in_virtual_time(forgotten())
    finally:
        gc.enable()

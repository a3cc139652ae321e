"""The deadline: what takes too long is interrupted, and nobody else's cancellation is taken for it."""

import asyncio

import pytest

from consumer.handlers.deadline import Deadline
from tests.consumer.fakes import in_virtual_time, now, settle


async def _hang(deadline: Deadline) -> None:
    with deadline.held():
        await asyncio.sleep(3600)


def test_what_takes_too_long_is_timed_out_and_hardly_later() -> None:
    """A call without an end would keep its lane, its slot and its partition."""

    async def story() -> None:
        with pytest.raises(TimeoutError):
            await _hang(Deadline(10))
        assert 10 <= now() <= 10.11

    in_virtual_time(story())


def test_each_of_many_has_its_own_time() -> None:
    """One timer looks after all of them."""
    ends: list[tuple[int, float]] = []

    async def one(deadline: Deadline, number: int) -> None:
        await asyncio.sleep(number)
        with pytest.raises(TimeoutError):
            await _hang(deadline)
        ends.append((number, now()))

    async def story() -> None:
        deadline = Deadline(10)
        await asyncio.gather(*(one(deadline, number) for number in range(5)))

    in_virtual_time(story())
    assert [number for number, _ in ends] == [0, 1, 2, 3, 4]
    assert all(number + 10 <= end <= number + 10.11 for number, end in ends)


def test_what_is_done_in_time_is_left_alone() -> None:
    """It is not interrupted later on, in whatever the task does then."""

    async def story() -> None:
        deadline = Deadline(10)
        for _ in range(3):
            with deadline.held():
                await asyncio.sleep(9)
        await asyncio.sleep(100)

    in_virtual_time(story())


def test_an_error_within_stays_what_it_is() -> None:
    """Only lateness becomes a TimeoutError."""

    async def story() -> None:
        with pytest.raises(ConnectionError), Deadline(10).held():
            raise ConnectionError

    in_virtual_time(story())


def test_who_is_told_to_stop_stops_and_has_not_timed_out() -> None:
    """A partition that is let go cancels its calls; also when one is late at the same moment."""

    async def story() -> None:
        deadline = Deadline(10)
        held = deadline.held()

        async def hang() -> None:
            with held:
                await asyncio.sleep(3600)

        early, late = asyncio.create_task(_hang(deadline)), asyncio.create_task(hang())
        await settle()
        early.cancel()
        held.expire()
        late.cancel()
        results = await asyncio.gather(early, late, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, asyncio.CancelledError]
        assert late.cancelling() == 1

    in_virtual_time(story())


def test_the_next_one_is_looked_after_when_there_was_nobody_for_a_while() -> None:
    """The timer rests when nobody needs it."""

    async def story() -> None:
        deadline = Deadline(1)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await _hang(deadline)
            await asyncio.sleep(1000)

    in_virtual_time(story())

"""Slots: how many calls are in flight at once, whose turn is next, and that none leaks."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from consumer.slots import Slot, Slots
from tests.consumer.fakes import in_virtual_time, now, settle


class Crowd:
    """Calls that hold slots."""

    def __init__(self, limit: int) -> None:
        self.slots = Slots(limit)
        self.holders: list[tuple[str, Slot]] = []
        self.order: list[str] = []

    def request(self, tenant: str, name: str | None = None) -> None:
        """Ask for a slot."""
        self.slots.request(tenant, self._started(name or tenant))

    def _started(self, name: str) -> Callable[[Slot], bool]:
        def start(slot: Slot) -> bool:
            self.holders.append((name, slot))
            self.order.append(name)
            return True

        return start

    def end(self) -> None:
        """Let the call that has run longest end."""
        self.holders.pop(0)[1].give_back()


def test_no_more_calls_start_than_there_are_slots() -> None:
    """The next one starts when one ends, and not before."""
    crowd = Crowd(3)
    for number in range(10):
        crowd.request("acme", str(number))
    assert crowd.order == ["0", "1", "2"]
    assert crowd.slots.taken == 3
    crowd.end()
    assert crowd.order == ["0", "1", "2", "3"]
    while crowd.holders:
        crowd.end()
    assert crowd.order == [str(number) for number in range(10)]
    assert crowd.slots.taken == 0


def test_a_tenant_with_a_thousand_waiting_delays_another_by_one_call() -> None:
    """Turns are taken tenant by tenant (promise 11)."""
    crowd = Crowd(1)
    for _ in range(1000):
        crowd.request("acme")
    crowd.request("blue")
    crowd.request("cyan")
    for _ in range(5):
        crowd.end()
    assert crowd.order == ["acme", "acme", "blue", "cyan", "acme", "acme"]


def test_giving_a_slot_back_twice_makes_no_second_slot() -> None:
    """The limit would be no limit any more."""
    crowd = Crowd(1)
    for _ in range(3):
        crowd.request("acme")
    (_, slot) = crowd.holders[0]
    slot.give_back()
    slot.give_back()
    assert len(crowd.order) == 2
    assert crowd.slots.taken == 1


def test_a_slot_that_is_not_wanted_any_more_goes_to_the_next() -> None:
    """A whole queue of such does not use any up."""
    crowd = Crowd(1)
    crowd.request("acme", "first")
    for _ in range(100):
        crowd.slots.request("acme", lambda _: False)
    crowd.request("acme", "last")
    crowd.end()
    assert crowd.order == ["first", "last"]
    assert crowd.slots.taken == 1


def test_who_sleeps_keeps_no_one_from_their_turn() -> None:
    """Thousands of failing events sleep beside a single slot, and others go on."""

    async def story() -> None:
        crowd = Crowd(1)
        crowd.request("acme", "sleeper")
        sleeper = asyncio.create_task(crowd.holders.pop()[1].without(partial(asyncio.sleep, 100)))
        await settle()
        assert crowd.slots.taken == 0
        for _ in range(10):
            crowd.request("blue")
            crowd.end()
        assert now() == 0
        await sleeper
        assert now() == 100
        assert crowd.slots.taken == 1

    in_virtual_time(story())


def test_who_has_slept_goes_on_only_with_a_slot() -> None:
    """The limit holds for repeated attempts too; the wait for it comes after the sleep."""

    async def story() -> None:
        crowd = Crowd(1)
        crowd.request("acme", "sleeper")
        slot = crowd.holders.pop()[1]
        sleeper = asyncio.create_task(slot.without(partial(asyncio.sleep, 100)))
        await settle()
        crowd.request("blue", "other")
        await asyncio.sleep(500)
        assert not sleeper.done()
        crowd.end()
        await sleeper
        assert now() == 500
        assert crowd.slots.taken == 1
        slot.give_back()
        assert crowd.slots.taken == 0

    in_virtual_time(story())


@pytest.mark.parametrize("moment", ["sleeping", "queueing", "granted"])
def test_a_cancelled_sleeper_leaks_no_slot(moment: str) -> None:
    """Whether it is asleep, waits for its turn, or has just been given it; the slot is there for the next."""

    async def story() -> None:
        crowd = Crowd(1)
        crowd.request("acme", "sleeper")
        slot = crowd.holders.pop()[1]

        async def call() -> None:
            try:
                await slot.without(partial(asyncio.sleep, 100))
            finally:
                slot.give_back()

        sleeper = asyncio.create_task(call())
        await settle()
        crowd.request("blue", "other")
        if moment != "sleeping":
            await asyncio.sleep(150)
        if moment == "granted":
            crowd.end()
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        while crowd.holders:
            crowd.end()
        assert crowd.slots.taken == 0
        crowd.request("cyan", "next")
        assert crowd.order[-1] == "next"
        assert crowd.slots.taken == 1

    in_virtual_time(story())


def test_sleepers_take_their_turn_with_their_tenant() -> None:
    """A tenant whose calls all fail does not come before one whose calls work."""

    async def story() -> None:
        crowd = Crowd(1)
        order: list[str] = []
        crowd.request("acme", "holder")

        async def sleep(tenant: str) -> None:
            slot = Slot(crowd.slots, tenant)
            slot._held = False  # noqa: SLF001 - as if given back already
            await slot.without(partial(asyncio.sleep, 1))
            order.append(tenant)
            slot.give_back()

        sleepers = [asyncio.create_task(sleep(tenant)) for tenant in ("acme", "acme", "acme", "blue")]
        await asyncio.sleep(10)
        assert not order
        crowd.end()
        await asyncio.gather(*sleepers)
        assert order == ["acme", "blue", "acme", "acme"]
        assert crowd.slots.taken == 0

    in_virtual_time(story())

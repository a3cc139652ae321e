"""The holds of a member: who gets a permission, and that none is lost on those who do not want it."""

import asyncio

from consumer.engine.hold import HoldPolicy
from consumer.holds import Holds, Waiter
from tests.consumer.fakes import in_virtual_time

POLICY = HoldPolicy(share=0.5, failures=1, window=10_000, probe=5_000, ramp=2, ramp_time=3_000)
HERE, THERE = "http://here", "http://there"


def held(most: int = 2) -> Holds:
    """Give holds of which one has opened."""
    holds = Holds(POLICY, most=most)
    assert holds.may_start(HERE)
    assert holds.failed(HERE, holds.now(), fresh=True)
    return holds


def waiter(name: str, gone: list[str], *, wanted: bool = True, alive: bool = True, tenant: str = "acme") -> Waiter:
    """Give what notes that it has got a permission."""
    return Waiter(
        tenant=tenant,
        alive=lambda: alive,
        wanted=lambda: wanted,
        go=lambda: gone.append(name),
        again=lambda: gone.append(f"{name} asks again"),
    )


def test_a_probe_goes_to_the_first_who_wants_it() -> None:
    """One that was given to nobody would cost an interval; the rest go on waiting."""

    async def story() -> None:
        holds, gone = held(), list[str]()
        for name, wanted in (("settled", False), ("wants", True), ("waits", True)):
            holds.wait(HERE, waiter(name, gone, wanted=wanted))
        holds.release()
        assert gone == []
        await asyncio.sleep(5)
        holds.release()
        holds.release()
        assert gone == ["wants"]

    in_virtual_time(story())


def test_permissions_go_from_tenant_to_tenant_and_nobody_overtakes_who_waits() -> None:
    """Promise 11: a tenant with many events waiting delays another by one."""

    async def story() -> None:
        holds, gone = held(), list[str]()
        for number in range(5):
            holds.wait(HERE, waiter(f"acme-{number}", gone))
        holds.wait(HERE, waiter("blue", gone, tenant="blue"))
        await asyncio.sleep(5)
        holds.release()
        holds.succeeded(HERE, holds.now())
        assert not holds.may_start(HERE)
        holds.release()
        assert gone == ["acme-0", "blue", "acme-1"]

    in_virtual_time(story())


def test_what_does_not_wait_any_more_is_forgotten() -> None:
    """It would keep events of partitions that were let go, for as long as the outage lasts (promise 9)."""

    async def story() -> None:
        holds, gone = held(), list[str]()
        holds.wait(HERE, waiter("gone", gone, alive=False))
        holds.forget()
        await asyncio.sleep(5)
        assert holds.may_start(HERE)  # it would have to wait behind another

    in_virtual_time(story())


def test_other_destinations_and_those_beyond_the_bound_are_called() -> None:
    """There is a hold for so many and no more (promise 9)."""

    async def story() -> None:
        holds = held(most=1)
        assert not holds.may_start(HERE)
        assert holds.may_start(None)
        assert all(holds.may_start(THERE) and not holds.failed(THERE, holds.now(), fresh=True) for _ in range(3))
        assert holds.open == 1

    in_virtual_time(story())

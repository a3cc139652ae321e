"""The lease: calls start only while nobody else can own the partition."""

import asyncio

from consumer.lease import COMMITS_PER_LEASE, LEASE_SHARE, Lease
from tests.consumer.fakes import in_virtual_time, now, settle


def test_without_a_commit_nothing_starts() -> None:
    """A tenure begins without a lease; its claim gives the first."""

    async def story() -> None:
        lease = Lease(6)
        waiting = asyncio.create_task(lease.held())
        await asyncio.sleep(1000)
        assert not waiting.done()
        lease.renew(now())
        await waiting

    in_virtual_time(story())


def test_it_counts_from_the_sending_of_the_commit() -> None:
    """An answer that was long under way proves little: what was true when it was sent may be over."""

    async def story() -> None:
        await asyncio.sleep(100)
        lease = Lease(6)
        lease.renew(95)
        await lease.held()
        await asyncio.sleep(1)
        waiting = asyncio.create_task(lease.held())
        await settle()
        assert not waiting.done()
        lease.renew(90)  # too old to be of any use
        await asyncio.sleep(10)
        assert not waiting.done()
        lease.renew(now())
        await waiting
        assert now() == 111

    in_virtual_time(story())


def test_a_late_answer_does_not_shorten_it() -> None:
    """Answers may come in any order."""

    async def story() -> None:
        lease = Lease(6)
        lease.renew(10)
        lease.renew(5)
        await asyncio.sleep(15)
        await lease.held()
        assert now() == 15

    in_virtual_time(story())


def test_all_who_wait_go_on_at_once() -> None:
    """And those who come later find it held."""

    async def story() -> None:
        lease = Lease(6)
        waiting = [asyncio.create_task(lease.held()) for _ in range(100)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        lease.renew(now())
        await asyncio.gather(*waiting[1:])
        await lease.held()
        assert now() == 1

    in_virtual_time(story())


def test_it_ends_well_before_the_session_does() -> None:
    """Two commits may fail within it, and what is left of the session is for the call's way out."""
    assert LEASE_SHARE <= 2 / 3
    assert COMMITS_PER_LEASE >= 3

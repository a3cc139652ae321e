"""A process that drains first: what it does one after the other, with members that a test lets end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.layout import Layout
from consumer import run as running
from consumer.drain.progress import Late
from consumer.run import run
from schemas.settings import ConsumerSettings
from tests.consumer.fakes import in_virtual_time, settings

OLD, NEW = Layout(old=2, new=3), Layout(old=3, new=3)
LATE = {0: Late(OLD, 0, 7)}


class Member:
    """A member, its subscription or its publisher: only its failure matters."""

    def __init__(self) -> None:
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.unreadable = 0

    def regular_work(self) -> list[Coroutine[Any, Any, None]]:
        """Do nothing."""
        return []


class Process:
    """Runs what `run` runs, and notes it in `done`; nothing of it ends before a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[object] = []
        self.stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fails_to_close = False
        for name in ("open_member", "ensure_topics", "until_drained", "until_extended", "tell_late"):
            monkeypatch.setattr(running, name, getattr(self, name))
        monkeypatch.setattr(running, "stop_signal", lambda: self.stop)

    @asynccontextmanager
    async def open_member(
        self, _: ConsumerSettings, __: object, drains: Layout | None
    ) -> AsyncIterator[tuple[Member, Member, Member, None]]:
        """Open a member."""
        self.done.append("drains" if drains is OLD else "runs")
        subscription = Member()
        yield Member(), subscription, Member(), None
        if self.fails_to_close:
            subscription.failure.set_result(OSError("no way"))
        self.done.append("closed")

    async def ensure_topics(self, _: ConsumerSettings, *, drained_for: int) -> Layout:
        """Extend the topics of the group."""
        self.done.append(f"extended to {drained_for}")
        return NEW

    async def until_drained(self, *_: object) -> Mapping[int, Late]:
        """Find nothing left."""
        return LATE

    async def until_extended(self, _: object, __: str, layout: Layout) -> None:
        """Wait for an extension that does not come."""
        assert layout is NEW
        await asyncio.Event().wait()

    async def tell_late(self, _: ConsumerSettings, behind: Mapping[int, Late]) -> None:
        """Look for ever."""
        self.done.append(behind)
        await asyncio.Event().wait()

    async def run(self) -> int:
        """Run."""
        tenants: Any = None
        return await run(settings(), tenants, OLD)


def test_a_drained_group_goes_on_at_once_and_what_came_too_late_is_looked_for_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hours of webhooks may lie behind the boundary; and a stop does not wait until they are looked through."""

    async def story() -> None:
        process = Process(monkeypatch)
        ending = asyncio.create_task(process.run())
        await asyncio.sleep(5)
        assert process.done == ["drains", "closed", "extended to 3", "runs", LATE]
        process.stop.set_result(None)
        async with asyncio.timeout(1):
            assert await ending == 0
        assert process.done[5:] == ["closed"]

    in_virtual_time(story())


def test_a_drained_member_that_fails_while_it_closes_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supervisor starts it again; a second member of this process could not know what the first left undone."""

    async def story() -> None:
        process = Process(monkeypatch)
        process.fails_to_close = True
        with capture_logs() as logs:
            async with asyncio.timeout(5):
                assert await process.run() == 1
        assert process.done == ["drains", "closed"]
        assert [line["error"] for line in logs if line["event"] == "member.failed"] == ["OSError('no way')"]

    in_virtual_time(story())

"""Slots: how many calls are in flight at once, and whose turn is next."""

import asyncio
from collections.abc import Awaitable, Callable

from consumer.engine.schedule import Schedule

Start = Callable[["Slot"], bool]
"""Use a slot, or say False for one that is no longer needed."""


class Slots:
    """Hand out a bounded number of slots, fair between tenants."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._schedule: Schedule[tuple[str, Start]] = Schedule()
        self.taken = 0

    @property
    def waiting(self) -> int:
        """Count what waits for a slot."""
        return len(self._schedule)

    def request(self, tenant: str, start: Start) -> None:
        """Call `start` with a slot when one is free: at once, or later in the tenant's turn."""
        self._schedule.add(tenant, (tenant, start))
        self._fill()

    def returned(self) -> None:
        """Take a slot back; see `Slot.give_back`."""
        self.taken -= 1
        self._fill()

    def _fill(self) -> None:
        while self.taken < self.limit and (ready := self._schedule.take()) is not None:
            tenant, start = ready
            self.taken += 1
            if not start(Slot(self, tenant)):
                self.taken -= 1


class Slot:
    """The right to have one call in flight.

    A call that waits for its next attempt gives the slot back, so that failing events keep no one from their turn.
    """

    def __init__(self, slots: Slots, tenant: str) -> None:
        self._slots = slots
        self._tenant = tenant
        self._held = True

    def give_back(self) -> None:
        """Return the slot; once is enough, twice does no harm."""
        if self._held:
            self._held = False
            self._slots.returned()

    async def without(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something without the slot, and then for a slot again."""
        self.give_back()
        await wait()
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots.request(self._tenant, lambda _: self._regain(granted))
        await granted

    def _regain(self, granted: asyncio.Future[None]) -> bool:
        """Take a slot again; the call may have been cancelled while it waited for it."""
        if granted.done():
            return False
        self._held = True
        granted.set_result(None)
        return True

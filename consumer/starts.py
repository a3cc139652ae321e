"""Starts: from an engine's `Start` to a call: a slot, then what the doors and the holds say, then the call's task."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from consumer.calls import Calls
from consumer.engine.commands import Command
from consumer.engine.doors import Doors, door_of
from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.handling import Handling, Wait
from consumer.holds import TICK_SECONDS, Waiter
from consumer.slots import Slot, Slots
from consumer.tenure import Tenure

_SIFTED = 500
"""So many events that wait for a destination are looked at at once: whether they make room for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Start calls for tenures.

    `settled` is told what the engine wants for an event that is not called after all, `ended` how a call ended, and
    `check` which task is done: it may have failed.
    """

    calls: Calls
    slots: Slots
    doors: Doors
    settled: Callable[[Tenure, Sequence[Command]], None]
    ended: Callable[[Tenure, Waiting, Ending], None]
    check: Callable[[asyncio.Task[None]], None]
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _behind: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """The doors behind which each destination lies, as far as they have been met while it was held."""

    @property
    def in_flight(self) -> int:
        """Count the calls in flight."""
        return self.slots.taken

    def request(self, tenure: Tenure, waiting: Waiting) -> None:
        """Start the handling of an event as soon as there is room, and its destination may be called."""
        self.slots.request(waiting.event.tenant, partial(self._start, tenure, waiting))

    def reopen(self, tenants: Collection[str]) -> None:
        """Let the parked events of these tenants have turns: they may lead elsewhere by now."""
        prefixes = tuple(f"{tenant}/".encode() for tenant in tenants)
        for doors in self._behind.values():
            doors -= {door for door in doors if door.startswith(prefixes)}

    async def release_regularly(self) -> None:
        """Let start what waits for a destination and may be called by now, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.calls.holds.release()
            self._hold_doors()

    def _start(self, tenure: Tenure, waiting: Waiting, slot: Slot, *, permitted: bool = False) -> bool:
        if not self._is_wanted(tenure, waiting):
            return False
        destination = self.calls.destination(waiting.event)
        if destination is not None and not permitted and not self.calls.holds.may_start(destination):
            self._wait_for(destination, tenure, waiting)
            return False
        handling = self.calls.handling(waiting, destination, CallWaits(tenure, slot))
        call = self._loop.create_task(self._handle(tenure, handling))
        tenure.begin_call(call, waiting.lane, handling)
        # Not in the call itself: one that is cancelled before its first step runs nothing of its own.
        call.add_done_callback(partial(self._over, tenure, handling, slot))
        return True

    async def _handle(self, tenure: Tenure, handling: Handling) -> None:
        ending = await self.calls.handle(handling)
        if not tenure.over:
            self.ended(tenure, handling.waiting, ending)

    def _over(self, tenure: Tenure, handling: Handling, slot: Slot, call: asyncio.Task[None]) -> None:
        tenure.end_call(call, handling.waiting.lane, handling)
        slot.give_back()
        self.check(call)

    def _is_wanted(self, tenure: Tenure, waiting: Waiting) -> bool:
        """Say whether an event is to be called; what a later one covers, or a closed door stops, is settled instead."""
        engine, now = tenure.engine, self.calls.milliseconds()
        if not engine.may_start:
            return False
        settling = engine.superseded(waiting, now) or engine.turned_away(waiting, now)
        if settling is None:
            return True
        self.settled(tenure, settling)
        return False

    def _is_wanted_there(self, destination: str, tenure: Tenure, waiting: Waiting) -> bool:
        """Say whether an event is to be called, and there: since a reload it may lead elsewhere."""
        if not self._is_wanted(tenure, waiting):
            return False
        if self.calls.destination(waiting.event) == destination:
            return True
        self.request(tenure, waiting)
        return False

    def _wait_for(self, destination: str, tenure: Tenure, waiting: Waiting) -> None:
        """Let an event wait for its destination, without a slot and without a task."""
        tenant, start = waiting.event.tenant, partial(self._start, tenure, waiting, permitted=True)
        self._behind[destination].add(door_of(waiting.event))
        waiter = Waiter(
            tenant=tenant,
            alive=lambda: tenure.engine.may_start,
            wanted=partial(self._is_wanted_there, destination, tenure, waiting),
            go=partial(self.slots.request, tenant, start),
            again=partial(self.request, tenure, waiting),
        )
        self.calls.holds.wait(destination, waiter)

    def _hold_doors(self) -> None:
        """Tell the engines which doors lead to a destination that is down: what is parked there gets no turn.

        But for a probe, where nothing in memory waits to make it. Turns that wait for it already are put back, and
        while others work, what else waits in memory is asked to make room.
        """
        down = self.calls.holds.down
        for destination in [destination for destination in self._behind if destination not in down]:
            del self._behind[destination]
        held = [doors for destination, doors in self._behind.items() if not self.calls.holds.wants_probe(destination)]
        self.doors.held = frozenset().union(*held)
        self.doors.others_work = 0 < len(down) < self.calls.holds.known
        for destination in down:
            self.calls.holds.sift(destination, 1 + _SIFTED // len(down))


class CallWaits:
    """How a call waits: within its tenure, and for anything but the lease without its slot."""

    __slots__ = ("_slot", "_tenure")

    def __init__(self, tenure: Tenure, slot: Slot) -> None:
        self._tenure = tenure
        self._slot = slot

    @property
    def may_call(self) -> bool:
        """Whether the tenure's lease holds, and it has not been let go."""
        return self._tenure.engine.may_start and self._tenure.lease.holds

    async def lease(self) -> None:
        """Wait for the lease."""
        await self._tenure.rest(self._tenure.lease.held)

    async def apart(self, wait: Wait) -> None:
        """Wait for something, and for a slot again."""
        await self._tenure.rest(partial(self._slot.without, wait))

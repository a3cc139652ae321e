"""Holds: which destinations this member may call now, and what waits until it may."""

import asyncio
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from consumer.alarms import Alarms
from consumer.engine.hold import Hold, HoldPolicy, HoldState
from consumer.engine.schedule import Schedule
from consumer.loop_clock import LoopClock
from schemas.telemetry import LogEvent

TICK_SECONDS = 0.05
_NEVER = HoldPolicy(share=1.0, failures=sys.maxsize, window=1_000, probe=1_000, ramp=1, ramp_time=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """What waits for permission to start a call.

    `alive` says whether it still waits. `wanted` says the same just before it gets the permission, and may settle it in
    another way. `go` is called with the permission, `again` where it has to be asked for anew.
    """

    tenant: str
    alive: Callable[[], bool]
    wanted: Callable[[], bool]
    go: Callable[[], None]
    again: Callable[[], None]


@dataclass(slots=True)
class _Held:
    """A destination: its hold, and what waits for it, in turns of the tenants."""

    hold: Hold
    queue: Schedule[Waiter] = field(default_factory=Schedule)
    waiting: int = 0

    def add(self, waiter: Waiter) -> None:
        self.queue.add(waiter.tenant, waiter)
        self.waiting += 1

    def take(self) -> Waiter | None:
        waiter = self.queue.take()
        if waiter is not None:
            self.waiting -= 1
        return waiter

    def take_all(self) -> list[Waiter]:
        return [waiter for _ in range(self.waiting) if (waiter := self.take()) is not None]


class Holds:
    """The holds of all destinations of a member, `most` at most: one beyond that is called without a hold.

    What waits is bounded by those who wait: an engine has each event started once.
    """

    def __init__(self, policy: HoldPolicy = _NEVER, alarms: Alarms | None = None, most: int = 1_000) -> None:
        self.alarms = alarms or Alarms(time.time)
        self._policy = policy
        self._most = most
        self._held: dict[str, _Held] = {}
        self._clock = LoopClock()

    def now(self) -> int:
        """Give the time in milliseconds of a clock that never jumps: calls report when they began by it."""
        return self._clock.milliseconds()

    @property
    def open(self) -> int:
        """How many destinations are held."""
        return len(self.down)

    @property
    def known(self) -> int:
        """Count the destinations that have been called, or were to be."""
        return len(self._held)

    @property
    def down(self) -> Collection[str]:
        """Name the destinations that are held."""
        return {name for name, held in self._held.items() if held.hold.state is HoldState.OPEN}

    def wants_probe(self, destination: str) -> bool:
        """Say whether a destination that is held may be probed, and nobody waits to do so."""
        held = self._held[destination]
        return not held.waiting and held.hold.is_due(self.now())

    def may_start(self, destination: str | None) -> bool:
        """Take the permission for a call, if there is one and nobody has been waiting for it."""
        held = self._find(destination)
        return held is None or (not held.waiting and held.hold.may_start(self.now()))

    def wait(self, destination: str | None, waiter: Waiter) -> None:
        """Have `waiter` wait, after `may_start` has said no."""
        held = self._find(destination)
        if held is None:
            waiter.again()
        else:
            held.add(waiter)

    async def passed(self, destination: Callable[[], str | None], tenant: str) -> None:
        """Return with the permission for a call to `destination`, which may change meanwhile."""
        while not self.may_start(named := destination()):
            if await self._permitted(named, tenant, destination):
                return

    async def _permitted(self, named: str | None, tenant: str, destination: Callable[[], str | None]) -> bool:
        """Wait for a permission; False if it has to be asked for anew."""
        permitted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def waits() -> bool:
            return not permitted.done()

        def answer(*, go: bool) -> None:
            if waits():
                permitted.set_result(go)

        def wanted() -> bool:
            if destination() != named:
                answer(go=False)
            return waits()

        go, again = partial(answer, go=True), partial(answer, go=False)
        self.wait(named, Waiter(tenant=tenant, alive=waits, wanted=wanted, go=go, again=again))
        return await permitted

    def succeeded(self, destination: str | None, began: int) -> None:
        """Hear that a call which began at that time was answered, by whatever shows that the destination works."""
        if (held := self._find(destination)) is not None:
            held.hold.succeeded(self.now(), began)

    def failed(self, destination: str | None, began: int, *, fresh: bool) -> bool:
        """Hear that the destination was down for a call; say whether the hold is the reason, and not the event.

        A `fresh` call is the first one for its event.
        """
        held = self._find(destination)
        if held is None or destination is None:
            return False
        spared = held.hold.failed(self.now(), began, fresh=fresh)
        self._report(destination, held)
        return spared

    def release(self) -> None:
        """Let start what may start now, one tenant after the other; forget the hold of whom nobody calls any more."""
        for destination, held in [*self._held.items()]:  # what is let start may call a new destination
            self._release(held)
            self._report(destination, held)
            if not held.waiting and held.hold.is_abandoned(self.now()):
                del self._held[destination]
                self._clear(destination)

    def _release(self, held: _Held) -> None:
        """Give permissions only to those who want them: a probe given to nobody would cost an interval.

        Where all may start nobody gets one: it would still hold once a slot is free, and the destination down again.
        """
        held.hold.advance(self.now())
        if held.hold.state is HoldState.CLOSED:
            for each in held.take_all():
                each.again()
        while held.waiting and held.hold.is_due(self.now()):
            waiter = held.take()
            if waiter is not None and waiter.wanted() and held.hold.may_start(self.now()):
                waiter.go()

    def sift(self, destination: str, most: int) -> None:
        """Drop what waits for a destination and is not wanted any more, among the first so many; the rest goes on."""
        held = self._held[destination]
        for _ in range(min(most, held.waiting)):
            waiter = held.take()
            if waiter is not None and waiter.wanted():
                held.add(waiter)

    def forget(self) -> None:
        """Drop what does not wait any more: its partition was let go."""
        for held in self._held.values():
            for waiter in held.take_all():
                if waiter.alive():
                    held.add(waiter)

    def _report(self, destination: str, held: _Held) -> None:
        """Raise the alarm when a hold has opened, and end it when it has closed again; the ramp between is neither."""
        held.hold.advance(self.now())
        if held.hold.state is HoldState.OPEN:
            counted = held.hold.counted(self.now())
            share = round(counted.failures / max(1, counted.calls), 3)
            fields = {"destination": destination, "failures": counted.failures, "share": share}
            self.alarms.raised(LogEvent.DESTINATION_HELD, destination, **fields)
        elif held.hold.state is HoldState.CLOSED:
            self._clear(destination)

    def _clear(self, destination: str) -> None:
        released = LogEvent.DESTINATION_RELEASED
        self.alarms.cleared(LogEvent.DESTINATION_HELD, destination, released, destination=destination)

    def _find(self, destination: str | None) -> _Held | None:
        if destination is None:
            return None
        if destination not in self._held and len(self._held) < self._most:
            self._held[destination] = _Held(Hold(self._policy))
        return self._held.get(destination)

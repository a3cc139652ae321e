"""Handling: one event while the handler is at it: how far it is, and what it waits for."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Protocol

from consumer.engine.lanes import Waiting

Wait = Callable[[], Awaitable[None]]


class Stage(StrEnum):
    """What the handling of an event is at."""

    LEASE = "lease"
    """Waits until this member surely owns the partition."""
    CALL = "call"
    """The handler is at it."""
    PAUSE = "pause"
    """The last attempt failed; waits for the next one, and then for its turn."""


class Waits(Protocol):
    """How an event waits; each raises CancelledError when nothing may start any more."""

    @property
    def may_call(self) -> bool:
        """Whether this member surely owns the partition now, and has not let it go."""

    async def lease(self) -> None:
        """Wait until this member surely owns the partition."""

    async def apart(self, wait: Wait) -> None:
        """Wait for something, and let others have the slot meanwhile."""


class Handling:
    """One event being handled. One is made for every call, so it has no more than it needs.

    What others may see, and nothing is decided by: since when it is in its `stage`, and `until` when if that is known,
    in seconds since the epoch; `attempts` that have begun so far, those before this member's included; `error`, what
    the last of them failed with. What decides: `destination`, whom it calls; `held`, the seconds that it had to wait
    for that; `spared`, the attempts that only showed an outage, and whether the last one did.
    """

    __slots__ = (
        *("waiting", "waits", "clock", "destination", "held", "spared", "was_spared"),
        *("stage", "since", "until", "attempts", "error"),
    )

    def __init__(self, waiting: Waiting, destination: str | None, waits: Waits, clock: Callable[[], float]) -> None:
        self.waiting = waiting
        self.waits = waits
        self.clock = clock
        self.destination = destination
        self.held = 0.0
        self.spared = 0
        self.was_spared = False
        self.stage = Stage.LEASE
        self.since = clock()
        self.until: float | None = None
        self.attempts = waiting.tried.attempts
        self.error: str | None = None

    async def lease(self) -> None:
        """Wait until this member surely owns the partition; mostly it does, and there is nothing to wait for."""
        if not self.waits.may_call:
            self._enter(Stage.LEASE)
            await self.waits.lease()

    def call(self) -> int:
        """Begin an attempt; give its number, counted over all members."""
        self.attempts += 1
        self._enter(Stage.CALL)
        return self.attempts

    async def pause(self, seconds: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait for the next attempt."""
        self._enter(Stage.PAUSE, self.clock() + seconds)
        await self.waits.apart(partial(sleep, seconds))

    async def pass_hold(self, passed: Wait) -> None:
        """Wait until the destination may be called: that is not the event's time."""
        began = self.clock()
        await self.waits.apart(passed)
        self.held += self.clock() - began

    def _enter(self, stage: Stage, until: float | None = None) -> None:
        self.stage, self.since, self.until = stage, self.clock(), until

"""Progress: how far the handling of one event is, for whoever asks. Nothing is decided by it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What the handling of an event is at."""

    LEASE = "lease"
    """Waits until this member surely owns the partition."""
    CALL = "call"
    """The handler is at it."""
    PAUSE = "pause"
    """The last attempt failed; waits for the next one, and then for its turn."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """One event being handled: since when it is in its stage, and until when if that is known; seconds since the epoch.

    `attempts` have begun so far, those before this member's included; `error` is what the last of them failed with.
    """

    offset: int
    attempts: int
    clock: Callable[[], float]
    stage: Stage = Stage.LEASE
    since: float = 0.0
    until: float | None = None
    error: str | None = None

    def called(self, attempt: int) -> None:
        """Note that an attempt begins."""
        self.attempts = attempt
        self._enter(Stage.CALL)

    def failed(self, error: str) -> None:
        """Note what an attempt failed with."""
        self.error = error

    async def leased(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease."""
        self._enter(Stage.LEASE)
        await wait()

    async def pause(self, seconds: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait for the next attempt."""
        self._enter(Stage.PAUSE, self.clock() + seconds)
        await sleep(seconds)

    def _enter(self, stage: Stage, until: float | None = None) -> None:
        self.stage, self.since, self.until = stage, self.clock(), until

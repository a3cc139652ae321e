"""The lease: how long a member may start calls without hearing from Kafka that it still owns the partition."""

import asyncio

from consumer.loop_clock import LoopClock

LEASE_SHARE = 0.6
"""The lease as a share of the session timeout. A commit that Kafka took proves ownership, and restarts the session, at
some time after it was sent: nobody else can own the partition before a whole session timeout has passed since. Under
the consumer protocol it restarts nothing: there the session is longer than ours (`broker/session_timeout.py`)."""

COMMITS_PER_LEASE = 3
"""At least so many commits are sent within a lease, so that one or two may fail without a pause."""


class Lease:
    """Let calls start only for a while after the sending of the last commit that succeeded."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = float("-inf")
        self._renewed = asyncio.Event()
        self._clock = LoopClock()

    def renew(self, sent_at: float) -> None:
        """Extend the lease: a commit sent at `sent_at`, in the event loop's time, was taken."""
        self._until = max(self._until, sent_at + self._seconds)
        self._renewed.set()

    @property
    def left(self) -> float | None:
        """Give the seconds until the lease ends, negative if it has; None if there never was one."""
        return None if self._until == float("-inf") else self._until - self._clock.seconds()

    @property
    def holds(self) -> bool:
        """Whether calls may start now."""
        return self._clock.seconds() < self._until

    async def held(self) -> None:
        """Return within a valid lease; wait for as long as there is none."""
        while not self.holds:
            self._renewed.clear()
            await self._renewed.wait()

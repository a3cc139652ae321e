"""Rounds: which tenants have parked events that are due, each of them in turn, whatever the number of tenants."""

import heapq
from collections import deque

_OUTDATED = 64


class Rounds:
    """Keep for each tenant a time before which none of its turns is due, and a queue of those for which it has come."""

    def __init__(self) -> None:
        self._later: list[tuple[int, bytes]] = []
        self._earliest: dict[bytes, int] = {}
        self._queue: deque[bytes] = deque()
        self._queued: set[bytes] = set()

    def __len__(self) -> int:
        """Count the tenants in the queue."""
        return len(self._queue)

    @property
    def kept(self) -> int:
        """Count the times that are kept in memory."""
        return len(self._later)

    def expect(self, tenant: bytes, due: int) -> None:
        """Take note that a tenant has a turn that is due at this time."""
        known = self._earliest.get(tenant)
        if tenant not in self._queued and (known is None or due < known):
            self._earliest[tenant] = due
            heapq.heappush(self._later, (due, tenant))
            self._forget_what_is_outdated()

    def admit(self, now: int) -> None:
        """Let the tenants whose time has come into the queue."""
        while self._later and self._later[0][0] <= now:
            due, tenant = heapq.heappop(self._later)
            if self._earliest.get(tenant) == due:
                del self._earliest[tenant]
                self.queue(tenant)

    def queue(self, tenant: bytes) -> None:
        """Put a tenant to the end of the queue."""
        self._queue.append(tenant)
        self._queued.add(tenant)

    def take(self) -> bytes:
        """Take the first out of the queue: who took its turn is queued again, who had none is expected later."""
        tenant = self._queue.popleft()
        self._queued.remove(tenant)
        return tenant

    def _forget_what_is_outdated(self) -> None:
        """Keep the heap as small as what it is for: each tenant's earliest time, and some that no longer count."""
        if len(self._later) > 2 * len(self._earliest) + _OUTDATED:
            self._later = [(due, tenant) for tenant, due in self._earliest.items()]
            heapq.heapify(self._later)

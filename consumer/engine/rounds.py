"""Rounds: which doors have parked events that are due, each of them in turn, whatever the number of doors."""

import heapq
from collections import deque

_OUTDATED = 64


class Rounds:
    """Keep for each door a time before which none of its turns is due, and a queue of those for which it has come."""

    def __init__(self) -> None:
        self._later: list[tuple[int, bytes]] = []
        self._earliest: dict[bytes, int] = {}
        self._queue: deque[bytes] = deque()
        self._queued: set[bytes] = set()

    def __len__(self) -> int:
        """Count the doors in the queue."""
        return len(self._queue)

    @property
    def kept(self) -> int:
        """Count the times that are kept in memory."""
        return len(self._later)

    def expect(self, door: bytes, due: int) -> None:
        """Take note that a door has a turn that is due at this time."""
        known = self._earliest.get(door)
        if door not in self._queued and (known is None or due < known):
            self._earliest[door] = due
            heapq.heappush(self._later, (due, door))
            self._forget_what_is_outdated()

    def admit(self, now: int) -> None:
        """Let the doors whose time has come into the queue."""
        while self._later and self._later[0][0] <= now:
            due, door = heapq.heappop(self._later)
            if self._earliest.get(door) == due:
                del self._earliest[door]
                self.queue(door)

    def queue(self, door: bytes) -> None:
        """Put a door to the end of the queue."""
        self._queue.append(door)
        self._queued.add(door)

    def take(self) -> bytes:
        """Take the first out of the queue: who took its turn is queued again, who had none is expected later."""
        door = self._queue.popleft()
        self._queued.remove(door)
        return door

    def _forget_what_is_outdated(self) -> None:
        """Keep the heap as small as what it is for: each door's earliest time, and some that no longer count."""
        if len(self._later) > 2 * len(self._earliest) + _OUTDATED:
            self._later = [(due, door) for door, due in self._earliest.items()]
            heapq.heapify(self._later)

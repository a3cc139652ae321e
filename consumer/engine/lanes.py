"""Lanes: all events of one key, at most one of them being handled, in log order."""

from collections import deque
from dataclasses import dataclass

from schemas.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An event in memory: where it lies in the source partition, its lane, and its cost in bytes."""

    offset: int
    lane: bytes
    size: int
    event: Event


class Lanes:
    """Say which event may start next. A lane's head keeps the lane until `advance`."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, deque[Waiting]] = {}
        self.events = 0
        self.bytes = 0

    def add(self, waiting: Waiting) -> bool:
        """Append an event to its lane; True if it is the lane's head and may start."""
        self.events += 1
        self.bytes += waiting.size
        lane = self._lanes.get(waiting.lane)
        if lane is None:
            self._lanes[waiting.lane] = deque((waiting,))
            return True
        lane.append(waiting)
        return False

    def advance(self, lane: bytes) -> Waiting | None:
        """Drop the lane's head, which is done, and give the next event that may start, if there is one."""
        queue = self._lanes[lane]
        done = queue.popleft()
        self.events -= 1
        self.bytes -= done.size
        if queue:
            return queue[0]
        del self._lanes[lane]
        return None

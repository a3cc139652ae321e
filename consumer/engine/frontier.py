"""The frontier: per partition, the lowest offset that is not settled."""

from collections import deque


class Frontier:
    """Track which offsets of a partition are read and which of those are settled.

    Offsets are read in rising order; gaps are allowed, since a log may hold records that no consumer sees. With every
    unsettled offset is kept what was known of the end of the outcomes log when it was read: every outcome of an event
    read after that lies at or behind this position.
    """

    def __init__(self, start: int) -> None:
        self.read_position = start
        self._unsettled: deque[tuple[int, int]] = deque()
        self._settled: set[int] = set()

    def read(self, offset: int, outcomes_end: int) -> None:
        """Note an event that has to be settled before the frontier may pass it."""
        self._unsettled.append((offset, outcomes_end))
        self.read_position = offset + 1

    def skip(self, offset: int) -> None:
        """Note a record that needs nothing."""
        self.read_position = offset + 1

    def settle(self, offset: int) -> None:
        """Let the frontier pass `offset` as soon as everything below it is settled."""
        self._settled.add(offset)
        while self._unsettled and self._unsettled[0][0] in self._settled:
            self._settled.remove(self._unsettled.popleft()[0])

    @property
    def offset(self) -> int:
        """Give the lowest offset not settled: what may be committed."""
        return self._unsettled[0][0] if self._unsettled else self.read_position

    @property
    def outcomes_end(self) -> int | None:
        """Give the end of the outcomes log as known when the frontier's event was read; None if all is settled."""
        return self._unsettled[0][1] if self._unsettled else None

    @property
    def distance(self) -> int:
        """Count the offsets from the frontier to the read position."""
        return self.read_position - self.offset

"""The backlog: which events of one partition are unsettled, as a fold of what the three logs say."""

from collections.abc import Iterator
from typing import NamedTuple


class Born(NamedTuple):
    """Where an unsettled event comes from, and when its webhook was received, in seconds since the epoch."""

    id: str
    tenant: str
    received: float


class Backlog:
    """The events at or above the frontier that were read and have not ended, and all that are parked."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._open: dict[int, Born] = {}
        self._parked: dict[int, Born] = {}

    def event(self, offset: int, born: Born) -> None:
        """Take note of an event of the source."""
        self._open[offset] = born

    def park(self, epoch: int, offset: int, born: Born) -> None:
        """Take note of a park; it is void if whoever wrote it had been replaced by then."""
        if epoch >= self._epoch:
            self._epoch = epoch
            self._parked[offset] = born

    def settle(self, offset: int) -> None:
        """Take note that an event waits no longer: it ended."""
        self._parked.pop(offset, None)
        self._open.pop(offset, None)

    def taken(self, epoch: int) -> None:
        """Take note of a takeover's mark in the parked log."""
        self._epoch = max(self._epoch, epoch)

    def ended(self, offset: int, name: str) -> None:
        """Take note of an outcome; it is that of another topic's event if the id is another, and not empty."""
        for events in (self._open, self._parked):
            if offset in events and name in {events[offset].id, ""}:
                del events[offset]

    @property
    def parked(self) -> int:
        """Count the events that are parked."""
        return len(self._parked)

    def unsettled(self) -> Iterator[Born]:
        """Give every event that has not ended, each once."""
        yield from self._parked.values()
        yield from (born for offset, born in self._open.items() if offset not in self._parked)

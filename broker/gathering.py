"""Gathering: how long records wait for others before they are handed to librdkafka together.

Together, those of a partition fill one request and wake librdkafka's threads once; one by one, most would cause a
request of their own. So when the CPU is what there is too little of, it pays to wait; when there is enough of it,
whoever waits for an acknowledgement should not.
"""

_LEAST_SECONDS, _MOST_SECONDS = 0.002, 0.012
_IDLE, _BUSY = 0.5, 0.8
"""The thread's share of a core at which records are gathered for the least time, and for the most. At its most it may
well be below 1: librdkafka's threads need their part."""
_LOOK_SECONDS = 0.02


def gather_seconds(share: float) -> float:
    """Say how long to gather, for a thread that has had this share of a core."""
    busy = min(1.0, max(0.0, (share - _IDLE) / (_BUSY - _IDLE)))
    return _LEAST_SECONDS + busy * (_MOST_SECONDS - _LEAST_SECONDS)


class Gathering:
    """Follow how busy a thread is; `seconds` is how long to gather."""

    def __init__(self) -> None:
        self.seconds = _LEAST_SECONDS
        self._looked = self._spent = 0.0

    def look(self, now: float, spent: float) -> None:
        """Look at the time, and at the CPU time that the thread has spent so far, both in seconds."""
        elapsed = now - self._looked
        if elapsed >= _LOOK_SECONDS:
            self.seconds = gather_seconds((spent - self._spent) / elapsed)
            self._looked, self._spent = now, spent

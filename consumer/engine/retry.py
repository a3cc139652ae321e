"""What happens after a failed call: again in the lane, parked, or given up. Pure: time and chance are arguments."""

from dataclasses import dataclass

from consumer.engine.lanes import Tried

_MOST_DOUBLINGS = 60
_LEAST_TURNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A call, or the last of several, that did not work.

    `error` says why, without secrets. `permanent` means that calling again cannot help; `misconfigured` that no event
    of the tenant can be called before its configuration is mended. `retry_after` is the least number of seconds to
    wait, where the other side named one; `jitter` is drawn from 0 to 1.
    """

    error: str
    jitter: float
    permanent: bool = False
    misconfigured: bool = False
    retry_after: float | None = None
    status: int | None = None

    def not_before(self, now: int) -> int:
        """Give the time before which the other side does not want to be called; both in milliseconds."""
        return now + int((self.retry_after or 0.0) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waiting: `initial` seconds after the first failure, doubled after each further one, up to `most`."""

    initial: float
    most: float

    def wait(self, attempt: int, *, retry_after: float | None, jitter: float) -> float:
        """Decide how many seconds to wait after failed attempt number `attempt`.

        `jitter` is drawn from 0 to 1 and only ever lengthens the wait, by up to the exponential part, so that a
        crowd that failed together comes back spread out. A `retry_after` is never shortened.
        """
        doubled = min(self.most, self.initial * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
        return max(doubled, retry_after or 0.0) + jitter * doubled


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBudget:
    """How long an event may be tried at the head of its lane, while everything behind it waits in memory."""

    backoff: Backoff
    attempts: int
    seconds: float

    def wait(self, attempt: int, elapsed: float, *, retry_after: float | None, jitter: float) -> float | None:
        """Decide how long to wait after failed attempt number `attempt`; None if the budget is spent by then."""
        if attempt >= self.attempts:
            return None
        wait = self.backoff.wait(attempt, retry_after=retry_after, jitter=jitter)
        return wait if elapsed + wait <= self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedBudget:
    """How long an event may be tried from the parked log: its turns, and the seconds since it was called or parked.

    The seconds count while it waits behind its lane too: else a lane of events that all fail would be given up at the
    pace of one event per budget. But no event is given up for its age before it had a few turns of its own.
    """

    backoff: Backoff
    attempts: int
    seconds: float

    @property
    def longest(self) -> int:
        """Give the longest wait that `due` can ask for of what is not given up, in milliseconds."""
        return int((max(self.seconds, self.backoff.most) + self.backoff.most) * 1000)

    def due(self, tried: Tried, failed: Failed, now: int) -> int:
        """Decide when the next turn is due; `now` and what is given are milliseconds since the epoch."""
        wait = self.backoff.wait(tried.turns + 1, retry_after=failed.retry_after, jitter=failed.jitter)
        return now + int(wait * 1000)

    def spent(self, tried: Tried, failed: Failed, now: int) -> bool:
        """Say whether an event has had all that it gets, or is told to come back later than its budget would allow."""
        first = min([now, *(time for time in (tried.called, tried.since) if time is not None)])
        is_old = tried.turns >= min(self.attempts, _LEAST_TURNS) and now - first >= self.seconds * 1000
        return tried.turns >= self.attempts or is_old or (failed.retry_after or 0.0) > self.seconds

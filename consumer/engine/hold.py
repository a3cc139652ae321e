"""The hold of one destination: whether calls to it may start. Pure: time is given, in milliseconds of a steady clock.

closed ─ too many failures ─▶ open ─ a probe is answered ─▶ ramp ─ its time is over ─▶ closed
                               ▲                              │
                               └────── too many failures ─────┘
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

_BUCKETS = 20
_SECOND = 1_000
_ABANDONED = 20
"""After so many intervals in which nobody asked to probe, nobody calls the destination any more."""


class HoldState(StrEnum):
    """What a hold lets start: everything, one probe an interval, or more from second to second."""

    CLOSED = "closed"
    OPEN = "open"
    RAMP = "ramp"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPolicy:
    """When a hold opens, and how it closes again. Times are milliseconds.

    It opens when at least `failures` calls within `window`, and at least `share` of them all, have failed. While it
    is open one probe starts per `probe`. Then so many calls start per second as `ramp` says in the first second, twice
    as many in the next, and so on, until `ramp_time` has passed.
    """

    share: float
    failures: int
    window: int
    probe: int
    ramp: int
    ramp_time: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How many calls there were, and how many of them failed."""

    calls: int
    failures: int


@dataclass(slots=True)
class _Bucket:
    """What was counted within one bucket's time."""

    place: int
    calls: int = 0
    failures: int = 0


class Window:
    """Counts over the last `width` milliseconds, in a fixed number of buckets; up to one bucket more than that."""

    def __init__(self, width: int) -> None:
        self._bucket = max(1, -(-width // _BUCKETS))
        self._buckets: deque[_Bucket] = deque(maxlen=_BUCKETS + 1)

    def add(self, now: int, *, failed: bool = False) -> None:
        """Count a call."""
        place = now // self._bucket
        if not self._buckets or self._buckets[-1].place != place:
            self._buckets.append(_Bucket(place))
        last = self._buckets[-1]
        last.calls += 1
        last.failures += failed

    def counted(self, now: int) -> Counted:
        """Add up what is not too old."""
        oldest = now // self._bucket - _BUCKETS
        counts = [bucket for bucket in self._buckets if bucket.place >= oldest]
        return Counted(sum(each.calls for each in counts), sum(each.failures for each in counts))


class Hold:
    """Whether calls to one destination may start.

    A call that began before the state changed says nothing about the destination as it is now: its report is not
    counted. So neither late time-outs open a hold again, nor does a late answer stand for the probe's.
    """

    def __init__(self, policy: HoldPolicy) -> None:
        self._policy = policy
        self._reports = Window(policy.window)
        self._starts = Window(_SECOND)
        self._since = 0
        self._next_probe = 0
        self._ramp_began = 0
        self.state = HoldState.CLOSED

    def succeeded(self, now: int, began: int) -> None:
        """Hear that a call was answered, by whatever shows that the destination works."""
        self.advance(now)
        if began < self._since:
            return
        if self.state is HoldState.OPEN:
            self._begin_ramp(now)
        else:
            self._reports.add(now)

    def failed(self, now: int, began: int, *, fresh: bool) -> bool:
        """Hear that the destination was down for a call; say whether the hold is the reason, and not the event.

        While all seems well only `fresh` calls count, the first ones for their events: a few connections that fail for
        ever are called again and again, and must not make the destination look down when little else is called.
        """
        self.advance(now)
        if began < self._since or self.state is HoldState.OPEN:
            return True
        if self.state is HoldState.CLOSED and not fresh:
            return False
        self._reports.add(now, failed=True)
        too_much = self._is_too_much(now)
        if too_much:
            self._open(now)
        return too_much

    def is_due(self, now: int) -> bool:
        """Say whether a call may start, without taking the permission."""
        self.advance(now)
        match self.state:
            case HoldState.CLOSED:
                return True
            case HoldState.OPEN:
                return now >= self._next_probe
            case HoldState.RAMP:
                return self._starts.counted(now).calls < self.rate(now)

    def may_start(self, now: int) -> bool:
        """Take the permission for one call, if there is one.

        A probe that never reports blocks the next one no longer than an interval.
        """
        if not self.is_due(now):
            return False
        if self.state is HoldState.OPEN:
            self._next_probe = now + self._policy.probe
        elif self.state is HoldState.RAMP:
            self._starts.add(now)
        return True

    def is_abandoned(self, now: int) -> bool:
        """Say whether a hold is open for nobody."""
        return self.state is HoldState.OPEN and now >= self._next_probe + _ABANDONED * self._policy.probe

    def advance(self, now: int) -> None:
        """End a ramp whose time is over."""
        if self.state is HoldState.RAMP and now - self._ramp_began >= self._policy.ramp_time:
            self.state = HoldState.CLOSED

    def rate(self, now: int) -> int:
        """Give how many calls may start in the second that ends now, during a ramp."""
        return self._policy.ramp * (1 + (now - self._ramp_began) // _SECOND)

    def counted(self, now: int) -> Counted:
        """Give what was reported within the window."""
        return self._reports.counted(now)

    def _is_too_much(self, now: int) -> bool:
        counted = self.counted(now)
        return counted.failures >= self._policy.failures and counted.failures >= self._policy.share * counted.calls

    def _open(self, now: int) -> None:
        self.state = HoldState.OPEN
        self._since = now + 1  # nothing starts before the first probe, and that is later
        self._next_probe = now + self._policy.probe

    def _begin_ramp(self, now: int) -> None:
        self.state = HoldState.RAMP
        self._since = self._ramp_began = now
        self._reports = Window(self._policy.window)
        self._starts = Window(_SECOND)

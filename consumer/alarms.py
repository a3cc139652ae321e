"""Alarms: what a person has to know, once. Each is logged when it changes, and counted for as long as there is one."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from schemas.telemetry import LogEvent

_QUIET_SECONDS = 60.0
"""How long what happened once more is only counted: every event of it is in a topic anyway."""
_MOST_KINDS = 1_000
"""Kinds of what happened that are kept apart; beyond them all count as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """An alarm that is on: its name, what it is about, and since when, in seconds since the epoch."""

    event: LogEvent
    about: str
    since: float


@dataclass(slots=True)
class _Recent:
    logged_at: float
    count: int


class Alarms:
    """Raise alarms and count them. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._active: dict[tuple[LogEvent, str], Active] = {}
        self._recent: dict[tuple[LogEvent, str], _Recent] = {}
        self._total: Counter[LogEvent] = Counter()
        self._log = structlog.get_logger()

    @property
    def active(self) -> tuple[Active, ...]:
        """List the alarms that are on, the oldest first."""
        return tuple(self._active.values())

    @property
    def totals(self) -> Mapping[str, int]:
        """Count, for each name, how often it was raised or happened since the start."""
        return {event.value: count for event, count in self._total.items()}

    def raised(self, event: LogEvent, about: str, /, **fields: object) -> None:
        """Raise the alarm about something, unless it is on."""
        if (event, about) in self._active:
            return
        self._active[event, about] = Active(event=event, about=about, since=self._clock())
        self._total[event] += 1
        self._log.error(event, **fields)

    def cleared(self, event: LogEvent, about: str, then: LogEvent, /, **fields: object) -> None:
        """End the alarm about something, if it is on, and log `then` with how many seconds it lasted."""
        active = self._active.pop((event, about), None)
        if active is not None:
            self._log.info(then, seconds=round(self._clock() - active.since, 3), **fields)

    def happened(self, event: LogEvent, kind: str = "", /, **fields: object) -> None:
        """Count what happened and is over; log the first of its kind in a minute, with how many there were since.

        `count` in the line is 1 for the first, and else includes those that were not logged.
        """
        self._total[event] += 1
        recent = self._recent_of(event, kind)
        recent.count += 1
        if self._clock() - recent.logged_at >= _QUIET_SECONDS:
            self._log.error(event, count=recent.count, **fields)
            recent.logged_at, recent.count = self._clock(), 0

    def _recent_of(self, event: LogEvent, kind: str) -> _Recent:
        key = (event, kind) if len(self._recent) < _MOST_KINDS else (event, "")
        return self._recent.setdefault(key, _Recent(float("-inf"), 0))

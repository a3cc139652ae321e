"""The stretch of time that a command looks at, by log-append time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LAST = re.compile(r"([1-9][0-9]{0,6})([smhd])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `since` on, and before `until`; None is the beginning, and the end of the log as it is now."""

    since: datetime | None = None
    until: datetime | None = None


def read_span(since: str | None, until: str | None, last: str | None, now: datetime) -> Span:
    """Read what was asked for: RFC 3339 times or dates, in UTC where no zone is named, or the last `90m`, `1h`, `2d`.

    Raises ConfigurationError for what cannot be read, for both at once, and for a span that ends before it begins.
    """
    if last and (since or until):
        raise ConfigurationError(["--last: not together with --since or --until."])
    if last:
        return Span(since=now - _duration(last))
    span = Span(since=_time("--since", since), until=_time("--until", until))
    if span.since and span.until and span.until <= span.since:
        raise ConfigurationError(["--until: has to be later than --since."])
    return span


def _duration(text: str) -> timedelta:
    found = _LAST.fullmatch(text)
    if found is None:
        raise ConfigurationError([f"--last: {text!r} is no duration such as 90m, 1h or 2d."])
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError([f"{option}: {text!r} is neither an RFC 3339 time nor a date."]) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)

"""The stretch of time that a command looks at, by log-append time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `since` on, and before `until`; None is the beginning, and the end of the log as it is now."""

    since: datetime | None = None
    until: datetime | None = None


def choose_span(since: datetime | None, until: datetime | None, last: timedelta | None, now: datetime) -> Span:
    """Choose what was asked for: from one time to another, or the last so long.

    Raises ConfigurationError for both at once, and for a span that ends before it begins.
    """
    if last and (since or until):
        raise ConfigurationError(["--last: not together with --since or --until."])
    if last:
        return Span(since=now - last)
    if since and until and until <= since:
        raise ConfigurationError(["--until: has to be later than --since."])
    return Span(since=since, until=until)

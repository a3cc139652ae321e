"""Moments and spans, written for people and for machines."""

from datetime import UTC, datetime


def moment(milliseconds: int) -> str:
    """Write a time, given in milliseconds since the epoch, for people: to the second."""
    return _written(milliseconds, "seconds") or f"{milliseconds} ms"


def exact(milliseconds: float | None) -> str | None:
    """Write a time, given in milliseconds since the epoch, for machines: ISO 8601 in UTC, to the millisecond.

    None for None, and for what lies beyond any calendar.
    """
    return None if milliseconds is None else _written(round(milliseconds), "milliseconds")


def span(milliseconds: int) -> str:
    """Write how long something lasts."""
    seconds = max(0, milliseconds) / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - a minute


def _written(milliseconds: int, precision: str) -> str | None:
    try:
        time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # what is in a record may be far beyond any calendar
        return None
    return time.isoformat(timespec=precision).replace("+00:00", "Z")

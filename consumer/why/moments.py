"""Moments and spans as people read them."""

from datetime import UTC, datetime


def moment(milliseconds: int) -> str:
    """Write a time, given in milliseconds since the epoch."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # what is in a record may be far beyond any calendar
        return f"{milliseconds} ms"


def span(milliseconds: int) -> str:
    """Write how long something lasts."""
    seconds = max(0, milliseconds) / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - a minute

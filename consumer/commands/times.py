"""Times and spans of time, as all commands take them.

A time needs its zone. To take a bare one as UTC would be guessing, and where the guess is wrong by an hour, a replay
sends what nobody meant, and an audit proves what nobody asked.
"""

import argparse
import re
from datetime import datetime, timedelta

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def time_argument(text: str) -> datetime:
    """Read a time with its zone, such as 2026-11-01T00:00Z. Raises ArgumentTypeError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-01T00:00Z") from None
    if time.tzinfo is None:
        said = f"{text!r} names no time zone: write {time.isoformat()}Z for UTC, or an offset such as +02:00"
        raise argparse.ArgumentTypeError(said)
    return time


def span_argument(text: str) -> timedelta:
    """Read a span of time: 90s, 15m, 1h or 7d. Raises ArgumentTypeError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span such as 90s, 15m, 1h or 7d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])

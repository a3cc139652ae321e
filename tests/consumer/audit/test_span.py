"""The stretch of time that a command is asked about."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.audit.span import Span, read_span
from schemas.errors import ConfigurationError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ((None, None, None), Span()),
        (("2026-02-01", None, None), Span(since=datetime(2026, 2, 1, tzinfo=UTC))),
        (
            ("2026-02-01T10:00:00Z", "2026-02-01T13:00:00+02:00", None),
            Span(since=datetime(2026, 2, 1, 10, tzinfo=UTC), until=datetime(2026, 2, 1, 11, tzinfo=UTC)),
        ),
        ((None, None, "90m"), Span(since=NOW - timedelta(minutes=90))),
        ((None, None, "2d"), Span(since=NOW - timedelta(days=2))),
    ],
)
def test_times_dates_and_durations_are_read(asked: tuple[str | None, str | None, str | None], span: Span) -> None:
    """Without a zone they are in UTC."""
    assert read_span(*asked, NOW) == span


@pytest.mark.parametrize(
    "asked",
    [
        ("yesterday", None, None),
        (None, "25:00", None),
        (None, None, "0h"),
        (None, None, "1w"),
        ("2026-02-01", None, "1h"),
        ("2026-02-01", "2026-02-01", None),
    ],
)
def test_what_makes_no_sense_is_refused(asked: tuple[str | None, str | None, str | None]) -> None:
    """With the option's name."""
    with pytest.raises(ConfigurationError, match="--"):
        read_span(*asked, NOW)

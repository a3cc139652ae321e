"""The stretch of time that a command is asked about."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.audit.span import Span, choose_span
from schemas.errors import ConfigurationError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def test_the_last_so_long_ends_now() -> None:
    """It goes back from the time at which it was asked."""
    assert choose_span(None, None, timedelta(minutes=90), NOW) == Span(since=NOW - timedelta(minutes=90))


def test_times_are_taken_as_they_are_and_either_may_be_left_out() -> None:
    """Without any it is all that the source holds."""
    assert choose_span(None, None, None, NOW) == Span()
    assert choose_span(FEBRUARY, None, None, NOW) == Span(since=FEBRUARY)
    assert choose_span(FEBRUARY, NOW, None, NOW) == Span(since=FEBRUARY, until=NOW)


@pytest.mark.parametrize("asked", [(FEBRUARY, None, timedelta(hours=1)), (FEBRUARY, FEBRUARY, None)])
def test_what_makes_no_sense_is_refused(asked: tuple[datetime | None, datetime | None, timedelta | None]) -> None:
    """With the option's name."""
    with pytest.raises(ConfigurationError, match="--"):
        choose_span(*asked, NOW)

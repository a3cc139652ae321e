"""Retry-After: every form that HTTP knows, and everything else that may stand there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.handlers.fuse_answer import parse_retry_after

NOW = datetime(1994, 11, 6, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("000120", 120),
        ("999999999", 999_999_999),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 2977),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 2977),
        ("Sun Nov  6 08:49:37 1994", 2977),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 2977),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 2977),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
    ],
)
def test_retry_after_is_read_in_every_form_that_http_knows(text: str, seconds: float) -> None:
    """Seconds, and the three forms of a date (RFC 9110, section 5.6.7); a date that has passed is now."""
    assert parse_retry_after(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        None,
        *("", "-1", "+1", "1.5", "1e3", "1_0", "٣", "0x10", "1000000000", "9" * 5000, "soon"),
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 06 Nov 1994 08:49:37 +99999999999999999999",
        "Sun, 06 Nov 1994 08:49:37 +9999",
        "Sun, 99 Nov 1994 99:99:99 GMT",
    ],
)
def test_a_retry_after_that_says_nothing_usable_is_as_good_as_none(text: str | None) -> None:
    """Above all no answer makes a lane wait for centuries."""
    assert parse_retry_after(text, NOW) is None


DATE_WORDS = st.sampled_from(
    [
        "Sun,",
        "Sun",
        "06",
        "Nov",
        "1994",
        "94",
        "9999",
        "08:49:37",
        "08.49",
        "GMT",
        "+0000",
        "+9" * 20,
        "-",
        ",",
        "1-2-3",
    ]
)


@given(st.text() | st.lists(DATE_WORDS, max_size=8).map(" ".join))
def test_any_retry_after_gives_a_bounded_wait_or_none(text: str) -> None:
    """It comes from outside and may be anything."""
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds < 1e9

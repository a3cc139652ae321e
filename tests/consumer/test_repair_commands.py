"""The commands that repair, as far as they need no Kafka: what they accept, what they refuse, what they say."""

import argparse
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from consumer.__main__ import main
from consumer.commands.repair import printable, rate_argument, sentences, span_argument, time_argument
from consumer.replay import Filter, Request, replay_id
from consumer.resending import Report
from schemas.settings import variable

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the settings that there must be; nobody listens there."""
    monkeypatch.setenv(variable("kafka_bootstrap_servers"), "127.0.0.1:1")
    monkeypatch.setenv(variable("tenants_file"), "tenants.toml")


def test_times_spans_and_rates_are_read() -> None:
    """A time needs its zone: the shells of two people are in two of them."""
    assert time_argument("2026-11-01T00:00Z") == time_argument("2026-11-01T02:00+02:00") == SINCE
    assert span_argument("90s") == timedelta(seconds=90)
    assert span_argument("7d") == timedelta(days=7)
    assert rate_argument("50/s") == rate_argument("50") == 50


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((time_argument, text) for text in ("yesterday", "2026-11-01T00:00")),
        *((span_argument, text) for text in ("1", "h", "-1h", "1w")),
        *((rate_argument, text) for text in ("0", "-1", "nan", "inf", "fast")),
    ],
)
def test_what_cannot_be_read_is_refused(read: Callable[[str], object], text: str) -> None:
    """Guessing what somebody meant would repair something else."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "2026-11-01T00:00Z", "--force"),
        ("--last", "1h", "--force", "--name", "mine"),
        ("--since", "2026-11-01T00:00Z", "--until", "2026-10-01T00:00Z"),
    ],
)
def test_a_replay_that_could_not_be_recognised_again_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked of Kafka, with a sentence that says what is missing."""
    assert main(["replay", *arguments]) == 2
    assert "--since" in capsys.readouterr().err or "--force" in arguments


def test_the_same_replay_has_the_same_name_and_another_has_another() -> None:
    """By the name a forced replay knows what it has done already."""
    request = Request(since=SINCE, until=SINCE + timedelta(hours=1), force=True)
    others = (
        Request(since=SINCE, until=SINCE + timedelta(hours=2), force=True),
        Request(since=SINCE, until=request.until, force=True, filter=Filter(tenant="acme")),
        Request(since=SINCE, until=request.until, force=True, filter=Filter(connection="acme")),
    )
    in_berlin = Request(since=time_argument("2026-11-01T01:00+01:00"), until=request.until, force=True)
    names = {replay_id("sync", request), *(replay_id("sync", other) for other in others), replay_id("other", request)}
    assert len(names) == 5
    assert replay_id("sync", in_berlin) == replay_id("sync", request)
    assert replay_id("sync", Request(since=SINCE, name="mine")) == "mine"


def test_a_report_says_everything_that_was_left_out() -> None:
    """Nobody should take a part for the whole."""
    report = Report(
        group="sync", replay="mine", dry_run=True, rate=2.0, tenants=Counter(acme=120), unreadable=3, unknown=4
    )
    text = "\n".join(sentences(report))
    assert "120 events would be sent again to group sync, in 0:01:00 at 2/s" in text
    assert all(word in text for word in ("--yes", "3 records are no events", "--expired", "interrupted"))


def test_a_text_from_outside_moves_no_terminal() -> None:
    """Escape sequences and lone surrogates are shown and not sent."""
    assert printable("\x1b[2J\ud800") == "\\x1b[2J\\ud800"
    assert printable("é") == "é"

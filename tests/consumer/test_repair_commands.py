"""The commands that repair, as far as they need no Kafka: what they accept, what they refuse, what they say."""

import argparse
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumer.__main__ import main
from consumer.commands.repair import printable, rate_argument, sentences
from consumer.commands.times import span_argument, time_argument
from consumer.letters import Letter, ListedLetter
from consumer.replay import Filter, Request, replay_id
from consumer.resending import Report
from schemas.dead import DeadLetter
from schemas.record import to_record
from schemas.settings import variable
from tests.consumer.fakes import event, received

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the settings that there must be (nobody listens there), and leave logging as it is for other tests."""
    monkeypatch.setattr("consumer.commands.repair.configure_logging", lambda *_: None)
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
        *((time_argument, text) for text in ("yesterday", "2026-11-01", "2026-11-01T00:00")),
        *((span_argument, text) for text in ("1", "h", "-1h", "0h", "1w")),
        *((rate_argument, text) for text in ("0", "-1", "nan", "inf", "fast")),
    ],
)
def test_what_cannot_be_read_is_refused(read: Callable[[str], object], text: str) -> None:
    """Guessing what somebody meant would repair something else."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize("command", ["audit --since", "replay --since", "dead list --since", "run --from"])
def test_a_time_without_a_zone_is_refused_by_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is done, and with the time as it may be written: a wrong hour is worse than a refusal."""
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "2026-11-01"])
    assert ended.value.code == 2
    assert "names no time zone: write 2026-11-01T00:00:00Z for UTC" in capsys.readouterr().err


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


def test_where_nothing_is_to_be_sent_nobody_is_asked_for_yes() -> None:
    """A person who reads it should not think that there is something to confirm."""
    report = Report(group="sync", replay="mine", dry_run=True, rate=None, complete=True)
    assert [*sentences(report)] == ["Nothing would be sent again to group sync."]


def test_a_text_from_outside_moves_no_terminal() -> None:
    """Escape sequences and lone surrogates are shown and not sent."""
    assert printable("\x1b[2J\ud800") == "\\x1b[2J\\ud800"
    assert printable("é") == "é"


NOTE = DeadLetter(
    group="sync",
    reason="budget_spent",
    error="Fuse answered [red]503",
    topic="fuse.webhooks",
    partition=3,
    offset=81_204,
    attempts=14,
    ended=1_795_745_000_000,
    epoch=2,
    member="me",
)
BURIED = event(7, connection="con\x1bnection")
LETTER = Letter(partition=3, position=12, note=NOTE, record=received(to_record(BURIED), 3, 81_204), event=BURIED)
RAW = Letter(partition=3, position=13, note=NOTE, record=replace(LETTER.record, value=b"\xff", headers=()), event=None)


@pytest.fixture
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two letters, one of them no event."""
    monkeypatch.setenv("COLUMNS", "80")
    listed = [ListedLetter(letter=LETTER, redriven=True), ListedLetter(letter=RAW, redriven=None)]
    monkeypatch.setattr("consumer.commands.dead.letters", lambda *_, **__: listed)
    monkeypatch.setattr("consumer.commands.dead.find_letters", lambda *_, **__: [LETTER, RAW])


@pytest.mark.usefixtures("_letters")
def test_letters_are_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """With all that says what happened, where it lies, and whether it was sent again; nothing of it is markup."""
    assert main(["dead", "list"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["when", "tenant", "connection", "reason", "attempts", "source", "redriven", "error"]
    seen = "2026-11-27T02:03:20Z acme con%1Bnection budget_spent 14 3:81204 yes Fuse answered [red]503"
    assert first.split() == seen.split()
    assert "unknown" in second.split()


@pytest.mark.usefixtures("_letters")
def test_a_letter_is_shown_without_its_body_unless_that_is_asked_for(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Bodies hold what nobody needs to see who looks for a cause."""
    assert main(["dead", "show", "event-7"]) == 0
    shown = capfdbinary.readouterr().out
    assert all(part in shown for part in (b"ce_fuseverification", b"Fuse answered [red]503", b"81204"))
    assert re.findall(rb"position\s+(\d+)", shown) == [b"12", b"13"]
    assert BURIED.body not in shown
    assert main(["dead", "show", "event-7", "--body"]) == 0
    assert capfdbinary.readouterr().out == b"\xff"

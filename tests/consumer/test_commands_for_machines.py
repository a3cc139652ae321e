"""What the commands write with `--json`, as far as that needs no Kafka: all of them in one way."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from broker.group_state import Owner
from consumer.__main__ import main
from consumer.audit import Counts, Report
from consumer.audit.report import Named
from consumer.letters import Letter, ListedLetter
from consumer.resending import Report as Resent
from consumer.status import PartitionStatus, Status, TenantStatus
from consumer.why.cause import Cause, Finding
from schemas.dead import DeadLetter
from schemas.record import to_record
from schemas.settings import variable
from tests.consumer.fakes import event, received

MOMENT = 1_795_745_000.123
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TIMES = frozenset({"since", "until", "received", "appended", "called", "parked", "ended"})
COUNTS = frozenset(each.name for each in fields(Counts))
PARTITION = PartitionStatus(
    partition=1,
    frontier=2,
    end=3,
    oldest_seconds=4.0,
    parked=5,
    dead=6,
    rate=7.5,
    owner=Owner(client_id="one", host="/127.0.0.1", member="one-1"),
    epoch=8,
    unread=0,
)
STATUS = Status(
    topic="fuse.webhooks",
    group="sync",
    state="stable",
    partitions=[PARTITION],
    tenants=[TenantStatus(tenant="acme", oldest_seconds=1.0, unsettled=1)],
)
NAMED = Named(
    what="repeated",
    topic="fuse.webhooks",
    partition=1,
    offset=7,
    id="event-7",
    tenant="acme",
    connection="one",
    appended=MOMENT,
    received=MOMENT,
)
AUDIT = Report(
    topic="fuse.webhooks",
    group="sync",
    tenant=None,
    since=datetime.fromtimestamp(MOMENT, UTC),
    until=None,
    counts=Counts(events=1),
    named=[NAMED],
    left_out=0,
    before_start=0,
    outcomes_gone=(),
    unreadable=0,
)
NOTE = DeadLetter(
    group="sync",
    reason="budget_spent",
    error="Fuse answered 503",
    topic="fuse.webhooks",
    partition=1,
    offset=7,
    attempts=14,
    called=1_795_745_000_000,
    parked=1_795_745_000_000,
    ended=1_795_745_000_000,
    epoch=2,
    member="me",
)
BURIED = event(7)
LETTER = Letter(partition=1, position=12, note=NOTE, record=received(to_record(BURIED), 1, 7), event=BURIED)
RESENT = Resent(group="sync", replay="mine", dry_run=True, rate=2.0, tenants=Counter(acme=120), complete=True)
FINDING = Finding(about="acme/\ud800", cause=Cause.DEAD, says="gone.", do="Mend it.", partition=1, offset=7)
ASKED = ("status", "audit", "why acme/one", "replay --last 1h", "dead redrive", "dead list", "dead show 1:7")


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every command find what is above, and settings."""
    monkeypatch.setattr("consumer.commands.repair.configure_logging", lambda *_: None)
    monkeypatch.setenv(variable("kafka_bootstrap_servers"), "127.0.0.1:1")
    monkeypatch.setenv(variable("tenants_file"), "none.toml")
    commands: Mapping[str, Any] = {
        "status.status": STATUS,
        "audit.audit": AUDIT,
        "why.explain": ([FINDING], 0),
        "replay.replay": RESENT,
        "dead.redrive": RESENT,
        "dead.letters": [ListedLetter(letter=LETTER, redriven=None)],
        "dead.find_letters": [LETTER],
    }
    for name, found in commands.items():
        monkeypatch.setattr(f"consumer.commands.{name}", lambda *_, found=found, **__: found)


def told(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a command and read what it writes: one line."""
    assert main([*command.split(), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = orjson.loads(line.replace("\\ud800", "?"))  # orjson reads no lone surrogate either
    return found


def members(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Give every plain value with the name that it stands under, however deep; counts are by kind and not meant."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from () if name == "counts" else members(each, inner)
    elif isinstance(value, list):
        for each in value:
            yield from members(each, name)
    else:
        yield name, value


@pytest.mark.parametrize("command", ASKED)
def test_every_answer_is_one_object_that_names_topic_and_group(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever collects them can tell what each is about."""
    found = told(command, capsys)
    assert [*found][:2] == ["topic", "group"]
    assert (found["topic"], found["group"]) == ("fuse.webhooks", "sync")


@pytest.mark.parametrize("command", ASKED)
def test_every_time_is_iso_8601_in_utc_with_milliseconds(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else looks like a time in another form: a number of seconds or milliseconds since the epoch."""
    for name, value in members(told(command, capsys)):
        if name in TIMES and name not in COUNTS:
            assert value is None or TIME.fullmatch(str(value)), name
        assert not isinstance(value, int | float) or value < 1e9, name


def test_an_event_has_the_same_names_wherever_it_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """What one command tells of can be looked for in the answer of another."""
    named = told("audit", capsys)["named"][0]
    listed = told("dead list", capsys)["letters"][0]
    shown = told("dead show 1:7", capsys)["letters"][0]
    finding = told("why acme/one", capsys)["findings"][0]
    for each in (named, listed, shown):
        assert (each["partition"], each["offset"], each["id"]) == (1, 7, "event-7")
        assert {"tenant", "connection"} <= {*each}
    assert (finding["partition"], finding["offset"]) == (1, 7)
    assert listed["ended"] == shown["ended"] == "2026-11-27T02:03:20.000Z"
    assert listed["redriven"] is None


def test_tenants_are_a_list_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant's name is a value and no name of a field."""
    assert told("replay --last 1h", capsys)["tenants"] == [{"tenant": "acme", "events": 120}]
    assert [each["tenant"] for each in told("status", capsys)["tenants"]] == ["acme"]

"""What `status` and `audit` print for people, and what is said when there is no answer."""

import pytest

from broker.group_state import Owner
from consumer.__main__ import main
from consumer.audit import Counts, Report
from consumer.audit.report import Named
from consumer.status import PartitionStatus, Status
from consumer.status.report import TenantStatus
from schemas.errors import Retryable

PARTITION = PartitionStatus(
    partition=11,
    frontier=1_234_567,
    end=2_345_678,
    oldest_seconds=86_400.0,
    parked=1_000,
    dead=100,
    rate=123.4,
    owner=Owner(client_id="fuse-sync@127.0.0.1:39393", host="/127.0.0.1", member="fuse-sync@127.0.0.1:39393-a2f2"),
    epoch=12,
    unread=0,
)
STATUS = Status(
    topic="fuse.webhooks",
    group="sync",
    state="stable",
    partitions=[PARTITION],
    tenants=[TenantStatus(tenant="\x1b[2J[red]", oldest_seconds=1.0, unsettled=1)],
)
REPORT = Report(
    topic="fuse.webhooks",
    group="sync",
    tenant=None,
    since=None,
    until=None,
    counts=Counts(events=1, unaccounted=1),
    named=[Named(what="unaccounted", topic="fuse.webhooks", partition=0, offset=7, connection="\x1b[2J[red]")],
    left_out=0,
    before_start=0,
    outcomes_gone=(),
    unreadable=0,
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a terminal of the usual width, and settings."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "none.toml")


def test_a_partition_is_one_line_with_nothing_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in a terminal of 80 columns; and a tenant's name from outside steers nothing."""
    monkeypatch.setattr("consumer.commands.status.status", lambda _: STATUS)
    assert main(["status"]) == 0
    _, headings, partition, *rest = capsys.readouterr().out.splitlines()
    assert headings.split()[-2:] == ["epoch", "owner"]
    assert partition.split()[0] == "11"
    assert partition.split()[-1] == "127.0.0.1:39393"
    assert rest[-1].split() == ["\\x1b[2J[red]", "1.0", "s", "1"]


def test_an_event_that_is_named_steers_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write to the topic chooses the connection's name; all counts have their words."""
    monkeypatch.setattr("consumer.commands.audit.audit", lambda *_: REPORT)
    assert main(["audit"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["in", "progress", "0"] in lines
    assert ["unaccounted", "1"] in lines
    assert any("/\\x1b[2J[red]" in line for line in lines)


def test_where_kafka_does_not_answer_it_is_said_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the client library says does not even name Kafka."""

    def silent(_: object) -> Status:
        raise Retryable("group sync: Local: Broker transport failure")

    monkeypatch.setattr("consumer.commands.status.status", silent)
    assert main(["status"]) == 3
    said = capsys.readouterr().err
    assert "Kafka does not answer" in said
    assert "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS" in said

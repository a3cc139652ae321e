"""Somebody else writes into the topic: a tool with the wrong settings, a version that is not out yet, a cat.

None of it can be understood, so none of it can be synced. It is named in the log with its coordinates, and everything
good before, between and behind it goes its way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Message, Producer

from sandbox.generator import Mix
from schemas.event import Environment, Event
from schemas.record import to_record
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage

GOOD = to_record(
    Event(
        id="01a20b71-5747-705b-a1c9-9cd95fd82e51",
        tenant="acme",
        environment=Environment.SANDBOX,
        type="financial_connection.sync_data",
        connection="a-connection",
        aggregator="plaid",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        verification="c2lnbmF0dXJl",
        body=b"{}",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A record that differs from a good one, and the reason that the log gives."""

    reason: str
    key: bytes | None = GOOD.key
    value: bytes | None = GOOD.value
    headers: Sequence[tuple[str, bytes]] = GOOD.headers


def with_header(name: str, value: bytes | None) -> Sequence[tuple[str, bytes]]:
    """Give the good record's headers with one of them replaced, added, or left out."""
    others = [header for header in GOOD.headers if header[0] != name]
    return others if value is None else [*others, (name, value)]


KINDS = (
    Garbage(reason="no-body", value=None),
    Garbage(reason="not-cloudevents", headers=()),
    Garbage(reason="not-cloudevents", key=None, value=b"\x00\xff cat", headers=()),
    Garbage(reason="unknown-version", headers=with_header("ce_specversion", b"2.0")),
    Garbage(reason="missing-attribute", headers=with_header("ce_id", None)),
    Garbage(reason="repeated-header", headers=[*GOOD.headers, ("ce_tenant", b"borealis")]),
    Garbage(reason="bad-attribute", headers=with_header("ce_type", b"\xff\xfe")),
    Garbage(reason="bad-environment", headers=with_header("ce_environment", b"moon")),
    Garbage(reason="bad-time", headers=with_header("ce_time", b"yesterday")),
    Garbage(reason="bad-generation", headers=with_header("ce_generation", b"-1")),
    Garbage(reason="source-mismatch", headers=with_header("ce_source", b"/tenants/borealis/sandbox")),
    Garbage(reason="key-mismatch", key=b"acme/another-connection"),
)


async def test_garbage_is_named_in_the_log_and_stops_nothing(stage: Stage) -> None:
    """Defends promise 12 as far as it goes today: what cannot be read never stops a partition."""
    mix = Mix(connections=100, other_share=0)
    async with stage(members=2) as scenario:
        before = await scenario.send(300, mix, seed=1)
        written = write(scenario, KINDS)
        after = await scenario.send(300, mix, seed=2)
        everything = before.model_copy(update={"accepted": before.accepted + after.accepted})
        verdict = await scenario.verdict(everything)
        logged = scenario.logged(LogEvent.RECORD_UNREADABLE)

    assert verdict.kept, verdict
    assert (verdict.synced, verdict.repeated) == (600, 0)
    assert {coordinates(line): line["reason"] for line in logged} == written
    assert all(line["topic"] == scenario.topic for line in logged)


def write(scenario: Scenario, kinds: Sequence[Garbage]) -> dict[tuple[object, object], str]:
    """Write one record of each kind to each of three partitions; give the reasons by partition and offset."""
    written: dict[tuple[object, object], str] = {}
    producer = Producer({"bootstrap.servers": scenario.servers})
    for partition in (0, 5, 11):
        for kind in kinds:

            def note(error: object, message: Message, reason: str = kind.reason) -> None:
                assert error is None
                written[message.partition(), message.offset()] = reason

            producer.produce(
                scenario.topic, kind.value, kind.key, partition, on_delivery=note, headers=list(kind.headers)
            )
    assert producer.flush(20) == 0
    return written


def coordinates(line: Mapping[str, object]) -> tuple[object, object]:
    """Give the partition and offset that a log line names."""
    return line["partition"], line["offset"]

"""Somebody else writes into the topic: a tool with the wrong settings, a version that is not out yet, a cat.

None of it can be understood, so none of it can be synced. It is named in the log with its coordinates and put to the
dead letters as it came, and everything good before, between and behind it goes its way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Message, Producer

from sandbox.generator import Mix
from schemas.dead import HEADER, DeadLetter
from schemas.event import Environment, Event
from schemas.outcome import Ended
from schemas.record import ReceivedRecord, to_record
from schemas.telemetry import LogEvent
from schemas.topics import group_topics
from tests.scenarios.conftest import PATIENT_SECONDS, Scenario, Stage

PARTITIONS = (0, 5, 11)
TIMES = 28
"""So often each kind comes in each partition: a thousand in all."""
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
    headers: Sequence[tuple[str, bytes | None]] = GOOD.headers


def with_header(name: str, value: bytes | None) -> Sequence[tuple[str, bytes | None]]:
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


async def test_garbage_is_put_to_the_dead_letters_as_it_came_and_stops_nothing(stage: Stage) -> None:
    """Defends promise 12: what cannot be read never stops a partition, and never disappears."""
    mix = Mix(connections=100, other_share=0)
    async with stage(members=2, session_timeout_seconds=PATIENT_SECONDS) as scenario:
        before = await scenario.send(300, mix, seed=1)
        written = write(scenario, KINDS * TIMES)
        after = await scenario.send(300, mix, seed=2)
        everything = before.model_copy(update={"accepted": before.accepted + after.accepted})
        verdict = await scenario.verdict(everything)
        logged = scenario.logged(LogEvent.RECORD_UNREADABLE)
        letters = scenario.read(group_topics(scenario.topic, "sync").dead)
        outcomes = [record for log in scenario.outcomes().values() for record in log if isinstance(record, Ended)]

    assert verdict.kept, verdict
    assert (verdict.synced + verdict.superseded, verdict.repeated) == (600, 0)
    # A line for each reason in a minute; every record of it is named in its letter.
    assert {line["reason"] for line in logged} == set(written.values())
    assert {coordinates(line): line["reason"] for line in logged}.items() <= written.items()
    notes = [DeadLetter.model_validate_json(letter.headers[-1][1] or b"") for log in letters.values() for letter in log]
    assert {(note.partition, note.offset) for note in notes} == set(written)
    assert all(line["topic"] == scenario.topic for line in logged)
    for partition in PARTITIONS:
        assert [received_as(letter) for letter in letters[partition]] == [
            (kind.key, kind.value, list(kind.headers)) for kind in KINDS * TIMES
        ]
    ended = [outcome for outcome in outcomes if outcome.reason == "unreadable"]
    assert len(ended) == len(written)
    assert {outcome.outcome for outcome in ended} == {"dead"}


def received_as(letter: ReceivedRecord) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """Give a record as it was before it became a dead letter."""
    assert letter.headers[-1][0] == HEADER
    return letter.key, letter.value, list(letter.headers[:-1])


def write(scenario: Scenario, kinds: Sequence[Garbage]) -> dict[tuple[object, object], str]:
    """Write one record of each kind to each of three partitions; give the reasons by partition and offset."""
    written: dict[tuple[object, object], str] = {}
    producer = Producer({"bootstrap.servers": scenario.servers})
    for partition in PARTITIONS:
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

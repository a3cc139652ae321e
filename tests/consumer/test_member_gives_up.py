"""A member and what will never work: dead letters, and the outcomes that say so."""

import asyncio

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from schemas.errors import Permanent, Retryable, UnpublishableRecord
from schemas.record import to_record
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, garbage, records_of, settle, until
from tests.consumer.kafka import TOPICS
from tests.consumer.stage import play, stage

GONE = Permanent("Fuse answered 410", status=410)
START = 1_800_000_000_000


def test_what_is_permanent_is_a_dead_letter_at_once_and_its_lane_goes_on() -> None:
    """With everything needed to understand it and to send it again; calling it again could not help."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            given = event(0, extra_headers=(("mine", b"\x00"), ("fuse_dead", b"earlier")), traceparent="00-1-2-01")
            on.handler.scripts["event-0"].append(GONE)
            with capture_logs() as logs:
                on.deliver(given, event(1))
                await until(lambda: on.log.ended() == [(0, "dead"), (1, "applied")])
            ((letter, dead),) = on.log.dead()
            assert dead == to_record(given)
            assert (letter.group, letter.topic, letter.partition, letter.offset) == ("sync", "fuse.webhooks", 0, 0)
            assert (letter.reason, letter.error, letter.status) == ("permanent", "Fuse answered 410", 410)
            assert (letter.attempts, letter.called, letter.parked) == (1, START, None)
            assert (letter.epoch, letter.member) == (1, "me")
            ended = on.log.outcomes()[0]
            assert (ended.id, ended.reason, ended.status, ended.attempts) == ("event-0", "permanent", 410, 1)
            assert on.log.parks() == []
            _check_lines(logs)

    play(story())


def _check_lines(logs: list[EventDict]) -> None:
    """One line for the failure with whose event it is, one for the dead letter with where it lies, one for the end."""
    found = {line["event"]: line for line in logs if line.get("event_id") != "event-1"}
    failed, written, ended = (
        found[name] for name in (LogEvent.EVENT_FAILED, LogEvent.DEAD_WRITTEN, LogEvent.EVENT_ENDED)
    )
    assert (failed["event_id"], failed["then"], failed["attempts"]) == ("event-0", "dead", 1)
    assert (written["log_level"], written["partition"], written["offset"], written["position"]) == ("error", 0, 0, 0)
    assert (ended["outcome"], ended["reason"], ended["event_id"]) == ("dead", "permanent", "event-0")
    assert ended["log_level"] == "info"


def test_first_the_letter_then_the_outcome_then_the_lane() -> None:
    """Each waits for the one before it to be acknowledged: a crash in between repeats, and loses nothing."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(GONE)
            on.publisher.hold()
            on.deliver(event(0), event(1))
            await asyncio.sleep(5)
            assert [write.topic for write in on.publisher.on_the_way] == [TOPICS.dead]
            on.publisher.let_through()
            on.publisher.hold()
            await asyncio.sleep(5)
            assert [write.topic for write in on.publisher.on_the_way] == [TOPICS.outcomes]
            assert len(on.handler.attempts) == 1
            await on.commits()
            assert on.committed().frontier == 0
            on.publisher.let_through()
            await until(lambda: len(on.log.ended()) == 2)
            assert on.handler.attempts == [("event-0", 1), ("event-1", 1)]

    play(story())


def test_a_parked_event_is_given_up_when_its_turns_are_spent() -> None:
    """And its lane, which waited behind it in the log, goes on."""

    async def story() -> None:
        async with stage(retry_attempts=2, parked_attempts=3) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [Retryable("no", status=500 + number) for number in range(9)]
            on.deliver(event(0), event(1))
            await asyncio.sleep(500)
            assert on.log.ended() == [(0, "dead"), (1, "applied")]
            assert on.handler.attempts == [*(("event-0", number) for number in range(1, 6)), ("event-1", 1)]
            ((letter, dead),) = on.log.dead()
            assert dead == to_record(event(0))
            assert (letter.reason, letter.attempts, letter.status) == ("budget_spent", 5, 504)
            assert letter.called == START
            assert letter.parked is not None
            assert START < letter.parked < START + 3_000
            assert on.log.journal()[-2:] == [("settle", 0), ("settle", 1)]
            await on.commits()
            assert on.committed().parked_from == len(on.log.journal())

    play(story())


def test_a_parked_event_is_given_up_when_its_time_is_spent() -> None:
    """Counted from its first call, over all its turns."""

    async def story() -> None:
        async with stage(retry_attempts=1, parked_max_seconds=15, parked_seconds=300) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [Retryable("no")] * 100
            on.deliver(event(0))
            await asyncio.sleep(300)
            assert on.log.ended() == []
            await until(lambda: on.log.ended() == [(0, "dead")])
            ((letter, _),) = on.log.dead()
            assert letter.reason == "budget_spent"
            assert 300_000 <= letter.ended - START < 331_000

    play(story())


@pytest.mark.parametrize("kind", ["event", "garbage"])
def test_a_dead_letter_that_kafka_does_not_take_pins_the_frontier_and_is_written_again(kind: str) -> None:
    """Promise 5: an alarm, never logged and skipped."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.broken.add(TOPICS.dead)
            on.handler.scripts["event-0"].append(GONE)
            with capture_logs() as logs:
                first = records_of([event(0)])[0] if kind == "event" else garbage(0, 0)
                on.member.received([first, *records_of([event(1, connection="two")], start=1)])
                await asyncio.sleep(3)
            pins = {(line["offset"], line["write"]) for line in logs if line["event"] == LogEvent.FRONTIER_PINNED}
            assert pins == {(0, "WriteDead")}
            assert on.committed().frontier == 0
            assert on.log.ended() == [(1, "applied")]
            on.publisher.broken.clear()
            await until(lambda: on.log.ended() == [(1, "applied"), (0, "dead")])
            await settle()
            await on.commits()
            assert on.committed().frontier == 2
            assert len(on.log.dead()) == 1
            assert len(on.called("event-0")) == (kind == "event")

    play(story())


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_too_large_for_the_dead_letters_is_named_there_without_its_value(*, at_once: bool) -> None:
    """Promise 12: a record may be larger for us than it was in the source, compressed; it stops nobody."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            (on.publisher.refusals if at_once else on.publisher.failures).append(UnpublishableRecord("too large"))
            with capture_logs() as logs:
                on.member.received([garbage(0, 0)])
                await until(lambda: on.log.ended() == [(0, "dead")])
            assert [line["offset"] for line in logs if line["event"] == LogEvent.DEAD_CUT] == [0]
            ((letter, record),) = on.log.dead()
            assert (letter.offset, letter.reason, record.key, record.value) == (0, "unreadable", None, None)

    play(story())

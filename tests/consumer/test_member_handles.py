"""A member and the events of its partitions: calls, outcomes, bounds and the lease."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from consumer.engine.committed import Committed
from consumer.lease import LEASE_SHARE
from schemas.errors import NotAcknowledged, QueueFull, Retryable, UnpublishableRecord
from schemas.outcome import Ignored
from schemas.record import Record
from schemas.telemetry import LogEvent
from tests.consumer.fakes import (
    event,
    garbage,
    now,
    records_of,
    settle,
    until,
)
from tests.consumer.stage import Stage, others, play, stage

IGNORED = Ignored(reason="type_not_synced")


def test_an_event_goes_from_the_topic_to_the_commit() -> None:
    """Assigned, taken over, received, handled, its outcome written, its offset committed."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            assert on.log.taken() == [(1, "me")]
            on.deliver(event(0), event(1, connection="two"))
            await until(lambda: on.log.ended() == [(0, "applied"), (1, "applied")])
            await on.commits()
            assert on.committed() == Committed(frontier=2, epoch=1, outcomes_from=3, parked_from=1, parked_epoch=1)

    play(story())


def test_one_lane_is_handled_one_at_a_time_and_in_order_and_others_beside_it() -> None:
    """Promise 4."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(event(0), event(1), *others(2, 2))
            await settle()
            assert [name for name, _ in on.handler.attempts] == ["event-0", "event-2", "event-3"]
            on.handler.release("event-0")
            await until(lambda: len(on.log.ended()) == 4)
            assert on.handler.attempts[-1] == ("event-1", 1)

    play(story())


@pytest.mark.parametrize("error", [Retryable("Fuse answered 500"), RuntimeError("a bug"), TimeoutError()])
def test_whatever_a_handler_raises_the_event_is_handled_again_and_its_lane_waits(error: Exception) -> None:
    """Others go on, the frontier does not pass it, and the member lives."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [error, error, error]
            on.deliver(event(0), event(1), *others(1, 2))
            await until(lambda: on.log.ended() == [(2, "applied")])
            await on.commits()
            assert on.committed().frontier == 0
            assert now() < 2
            await until(lambda: len(on.log.ended()) == 3)
            assert on.log.ended()[1:] == [(0, "applied"), (1, "applied")]
            assert on.called("event-0") == [1, 2, 3, 4]

    play(story())


def test_an_ignored_event_lets_its_lane_go_on_when_that_is_in_the_log() -> None:
    """The next owner must not see the lane go on without it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(IGNORED)
            on.publisher.hold()
            on.deliver(event(0), event(1))
            await asyncio.sleep(3)
            assert len(on.handler.attempts) == 1
            on.publisher.let_through()
            await until(lambda: on.log.ended() == [(0, "ignored"), (1, "applied")])

    play(story())


def test_garbage_is_counted_and_named_and_dead_lettered_raw() -> None:
    """Promise 12: it pins no frontier, and whoever looks into the dead letters finds it whole."""

    async def story() -> None:
        async with stage() as on:
            await on.take(3)
            raw = replace(garbage(3, 0), key=b"\xff", headers=(("x", b"\x00\xff"), ("x", None), ("fuse_dead", b"{}")))
            with capture_logs() as logs:
                on.member.received([raw, *records_of([event(1)], 3, 1), garbage(3, 2)])
                await until(lambda: len(on.log.ended(3)) == 3)
            await on.commits()
            assert on.committed(3).frontier == 3
            assert sorted(on.log.ended(3)) == [(0, "dead"), (1, "applied"), (2, "dead")]
            assert {(each.id, each.reason) for each in on.log.outcomes(3) if each.outcome == "dead"} == {
                ("", "unreadable")
            }
            (letter, dead), _ = on.log.dead(3)
            assert dead == Record(key=raw.key, value=raw.value, headers=tuple(raw.headers))
            assert (letter.reason, letter.topic, letter.partition, letter.offset, letter.attempts) == (
                "unreadable",
                "fuse.webhooks",
                3,
                0,
                0,
            )
            assert on.member.unreadable == 2
            assert on.member.alarms.totals == {LogEvent.RECORD_UNREADABLE: 2, LogEvent.DEAD_WRITTEN: 2}
            _check_garbage_is_named(logs)

    play(story())


def _check_garbage_is_named(logs: Sequence[EventDict]) -> None:
    lines = [line for line in logs if line["event"] == LogEvent.RECORD_UNREADABLE]
    assert [(line["topic"], line["partition"], line["offset"]) for line in lines] == [
        ("fuse.webhooks", 3, 0),
        ("fuse.webhooks", 3, 2),
    ]
    assert [line["reason"] for line in lines] == ["repeated-header", "not-cloudevents"]
    written = [(line["partition"], line["offset"]) for line in logs if line["event"] == LogEvent.DEAD_WRITTEN]
    assert written == [(3, 0)]  # the first in a minute: each letter is in its topic


def test_no_more_calls_are_in_flight_than_the_settings_say() -> None:
    """Over all partitions together."""

    async def story() -> None:
        async with stage(max_in_flight=5) as on:
            await on.take(0, 1)
            on.deliver(*others(50))
            on.deliver(*others(50, 50), partition=1)
            await until(lambda: len(on.log.ended(0)) + len(on.log.ended(1)) == 100)
            assert on.handler.most == 5

    play(story())


def test_an_outcome_that_kafka_does_not_take_pins_the_frontier_and_is_written_again() -> None:
    """Promise 5: an alarm, raised once and cleared when all is written; never logged and skipped."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.failures += [NotAcknowledged("no broker")] * 30
            with capture_logs() as logs:
                on.deliver(event(0), event(1, connection="two"))
                await on.commits()
                assert on.committed().frontier == 0
                assert [alarm.about for alarm in on.member.alarms.active] == ["0"]
                await until(lambda: len(on.log.ended()) == 2 and not on.member.alarms.active)
            told = [(line["event"], line["partition"]) for line in logs if line["event"].startswith("frontier.")]
            assert told == [(LogEvent.FRONTIER_PINNED, 0), (LogEvent.FRONTIER_FREED, 0)]
            assert on.member.alarms.totals == {LogEvent.FRONTIER_PINNED: 1}
            await on.commits()
            assert on.committed().frontier == 2
            assert len(on.handler.attempts) == 2

    play(story())


@pytest.mark.parametrize(
    ("refusal", "alarms"), [(QueueFull("full"), False), (NotAcknowledged("unknown partition"), True)]
)
def test_an_outcome_for_which_there_is_no_room_is_written_when_there_is(
    refusal: Exception,
    alarms: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Nothing is handled twice for it; a full queue is no alarm, since Kafka is only slow."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.refusals += [refusal] * 60
            with capture_logs() as logs:
                on.deliver(*others(3))
                await on.commits()
                assert on.committed().frontier == 0
                await until(lambda: sorted(on.log.ended()) == [(0, "applied"), (1, "applied"), (2, "applied")])
            assert any(line["event"] == LogEvent.FRONTIER_PINNED for line in logs) is alarms
            await on.commits()
            assert on.committed().frontier == 3
            assert len(on.handler.attempts) == 3

    play(story())


@pytest.mark.parametrize("when", ["at once", "later"])
def test_an_outcome_that_can_never_be_written_ends_the_member(when: str) -> None:
    """Going on would handle events whose ends nobody will ever know."""

    async def story() -> None:
        on = Stage()
        await on.take(0)
        error = UnpublishableRecord("too large")
        (on.publisher.refusals if when == "at once" else on.publisher.failures).append(error)
        on.deliver(event(0))
        assert await on.member.failure is error

    play(story())


def test_reading_pauses_at_the_bound_and_goes_on_when_there_is_room() -> None:
    """Promise 9."""

    async def story() -> None:
        async with stage(max_held_events=100, lane_max_waiting=1000) as on:
            await on.take(0)
            on.handler.hold("event-0")
            lane = [event(number) for number in range(150)]
            on.deliver(*lane[:99])
            assert on.subscription.reading[0]
            on.deliver(*lane[99:], start=99)
            assert not on.subscription.reading[0]
            on.handler.release("event-0")
            await until(lambda: len(on.log.ended()) == 150)
            assert on.subscription.reading[0]
            assert on.subscription.commands == [("resume", 0), ("pause", 0), ("resume", 0)]

    play(story())


def test_partitions_share_what_the_member_may_hold() -> None:
    """Two of them hold half each; when one goes, the other may hold all."""

    async def story() -> None:
        async with stage(max_held_events=100, lane_max_waiting=1000) as on:
            await on.take(0, 1)
            on.handler.hold("event-0", "event-1000")
            on.deliver(*[event(number) for number in range(49)])
            assert on.subscription.reading[0]
            on.deliver(event(49), start=49)
            assert not on.subscription.reading[0]
            on.lose(1)
            await on.take(2)
            await on.release(2)
            on.handler.release("event-0")
            await until(lambda: len(on.log.ended()) == 50)
            assert on.subscription.reading[0]
            on.deliver(*[event(number, connection="more") for number in range(1000, 1060)], start=50)
            assert on.subscription.reading[0]

    play(story())


def test_calls_start_only_while_commits_are_taken() -> None:
    """A member that Kafka does not hear may have been replaced; it goes on when a commit is taken again."""

    async def story() -> None:
        async with stage() as on:
            lease = on.settings.session_timeout_seconds * LEASE_SHARE
            await on.take(0)
            await on.commits()
            on.subscription.refusing = True
            silent_since = now()
            for number in range(100):
                on.deliver(event(number, connection=f"c-{number}"), start=number)
                await asyncio.sleep(0.2)
            started = [at for at in on.handler.started_at if at > silent_since]
            assert 0 < max(started) - silent_since <= lease
            assert len(on.handler.attempts) < 100
            on.subscription.refusing = False
            await until(lambda: len(on.log.ended()) == 100)

    play(story())


def test_a_commit_of_which_nothing_was_taken_holds_no_lease() -> None:
    """The subscription drops what is of a past tenure: an answer alone says nothing of this partition."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0, 1)
            on.end(0)
            await asyncio.sleep(on.settings.session_timeout_seconds)
            on.deliver(event(0))
            on.deliver(event(1), partition=1)
            await asyncio.sleep(10)
            assert on.handler.attempts == [("event-1", 1)]
            on.member.lost([0])

    play(story())


def test_commits_come_often_enough_for_the_lease_whatever_their_interval() -> None:
    """Also when there is nothing new to commit."""

    async def story() -> None:
        async with stage(commit_interval_seconds=60) as on:
            await on.take(0)
            lease = on.settings.session_timeout_seconds * LEASE_SHARE
            await asyncio.sleep(lease * 10)
            assert len(on.subscription.commits) >= 30

    play(story())

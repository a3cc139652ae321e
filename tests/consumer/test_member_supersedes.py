"""A member and events that a later one of their lane covers."""

import asyncio

from structlog.testing import capture_logs

from schemas.errors import Retryable
from schemas.event import Event
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, settle, until
from tests.consumer.stage import play, stage


def alike(*numbers: int) -> list[Event]:
    """Make events of one lane with one and the same body."""
    return [event(number, body=b"{}") for number in numbers]


def test_what_a_later_one_covers_is_not_called_and_the_next_waits_for_that_outcome() -> None:
    """The next owner must not see the lane go on without it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.hold()
            on.deliver(*alike(0, 1, 2), event(3))
            await asyncio.sleep(5)
            assert on.handler.attempts == []
            assert len(on.publisher.on_the_way) == 2
            assert on.member.gauges().calls_in_flight == 0
            on.publisher.let_through()
            with capture_logs() as logs:
                await until(lambda: len(on.log.ended()) == 4)
                await settle()
            assert on.log.ended() == [(0, "superseded"), (1, "superseded"), (2, "applied"), (3, "applied")]
            assert [name for name, _ in on.handler.attempts] == ["event-2", "event-3"]
            first = on.log.outcomes()[0]
            assert (first.id, first.reason, first.attempts, first.called) == (
                "event-0",
                "equal_event_follows",
                0,
                None,
            )
            await on.commits()
            assert on.committed().frontier == 4
            assert not [line for line in logs if line["event"] == LogEvent.EVENT_ENDED]

    play(story())


def test_what_was_called_once_is_called_to_its_end() -> None:
    """In flight, between attempts, or parked after a failure: its call may have been what the other side acted on."""

    async def story() -> None:
        async with stage(retry_attempts=2) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [Retryable("no")] * 3
            on.handler.hold("event-0")
            on.deliver(*alike(0))
            await settle()
            on.deliver(*alike(1, 2), start=1)
            on.handler.release("event-0")
            await asyncio.sleep(100)
            assert on.called("event-0") == [1, 2, 3, 4]
            assert on.log.ended() == [(0, "applied"), (1, "superseded"), (2, "applied")]
            assert on.log.journal()[-3:] == [("settle", 0), ("settle", 1), ("settle", 2)]

    play(story())


def test_a_slot_that_a_superseded_event_did_not_need_is_there_for_others() -> None:
    """Without a slot left over nobody would ever be called again."""

    async def story() -> None:
        async with stage(max_in_flight=1) as on:
            await on.take(0)
            for at in range(0, 20, 2):
                on.deliver(*alike(at, at + 1), start=at)
                await until(lambda: len(on.log.ended()) % 2 == 0)
            await until(lambda: len(on.log.ended()) == 20)
            assert on.handler.most == 1

    play(story())


def test_another_lane_covers_nothing() -> None:
    """An equal body of another connection is another sync."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.deliver(event(0, body=b"{}"), event(1, body=b"{}", connection="two"))
            await until(lambda: len(on.log.ended()) == 2)
            assert on.log.ended() == [(0, "applied"), (1, "applied")]

    play(story())


def test_nothing_is_superseded_where_the_settings_say_so() -> None:
    """Every event is called then."""

    async def story() -> None:
        async with stage(supersede=False, lane_max_waiting=2) as on:
            await on.take(0)
            on.deliver(*alike(*range(10)))
            await until(lambda: len(on.log.ended()) == 10)
            assert {outcome for _, outcome in on.log.ended()} == {"applied"}
            assert len(on.log.parks()) == 9

    play(story())

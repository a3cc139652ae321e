"""A member and what it parks: lanes that fail, lanes and tenants that are too much, and their turns."""

import asyncio

import pytest
from structlog.testing import capture_logs

from schemas.errors import NotAcknowledged, Retryable
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, now, settle, until
from tests.consumer.kafka import TOPICS
from tests.consumer.stage import Stage, others, play, stage

NO = Retryable("Fuse answered 503", status=503)


def parked(on: Stage) -> list[tuple[int, str]]:
    """List the offsets that were parked, and why."""
    return [(park.offset, park.reason) for park in on.log.parks()]


def test_an_event_that_keeps_failing_is_parked_with_its_lane_and_all_are_called_in_order_in_their_turns() -> None:
    """Promise 4, while the frontier and every other lane go on."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [NO] * 6
            on.deliver(event(0), event(1), *others(1, 2), event(3))
            await until(lambda: len(on.log.parks()) == 3)
            on.deliver(event(4), start=4)
            await on.commits()
            assert parked(on) == [(0, "failed"), (1, "behind"), (3, "behind"), (4, "behind")]
            assert on.committed().frontier == 5
            assert on.member.gauges().held_events == 0
            await until(lambda: len(on.log.parks()) == 5)
            await until(lambda: len(on.log.ended()) == 5)
            lane = [name for name, _ in on.handler.attempts if name != "event-2"]
            assert lane == ["event-0"] * 7 + ["event-1", "event-3", "event-4"]
            assert on.log.ended() == [(2, "applied"), (0, "applied"), (1, "applied"), (3, "applied"), (4, "applied")]
            await settle()
            assert on.log.journal()[-4:] == [("settle", 0), ("settle", 1), ("settle", 3), ("settle", 4)]

    play(story())


def test_attempts_are_counted_over_all_turns() -> None:
    """The handler, the outcome and the log tell of one and the same number."""

    async def story() -> None:
        async with stage(retry_attempts=2) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [NO] * 4
            with capture_logs() as logs:
                on.deliver(event(0))
                await asyncio.sleep(200)
            assert on.called("event-0") == [1, 2, 3, 4, 5]
            (ended,) = on.log.outcomes()
            assert (ended.attempts, ended.called) == (5, 1_800_000_000_000)
            assert [(park.attempts, park.turns) for park in on.log.parks()] == [(2, 0), (3, 1), (4, 2)]
            lines = [line for line in logs if line["event"] == LogEvent.EVENT_FAILED]
            assert [line["attempts"] for line in lines] == [2, 3, 4]
            assert {(line["event_id"], line["tenant"], line["connection"], line["then"]) for line in lines} == {
                ("event-0", "acme", "one", "parked")
            }
            assert {line["error"] for line in lines} == {"Fuse answered 503"}

    play(story())


def test_a_parked_event_waits_longer_from_turn_to_turn() -> None:
    """As the settings say, and no turn comes before it is due; none comes much later either."""

    async def story() -> None:
        async with stage(retry_attempts=1, parked_initial_seconds=10, parked_max_seconds=25) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [NO] * 4
            on.deliver(event(0))
            await asyncio.sleep(300)
            waits = [later - at for at, later in zip(on.handler.started_at, on.handler.started_at[1:], strict=False)]
            assert [round(least) for least in (10, 20, 25, 25)] == [10, 20, 25, 25]
            assert all(least <= wait <= 2 * least + 0.3 for least, wait in zip((10, 20, 25, 25), waits, strict=True)), (
                waits
            )

    play(story())


def test_what_the_other_side_asks_for_beyond_the_lanes_budget_parks_at_once_and_is_not_shortened() -> None:
    """Neither the lane nor anybody's slot waits for it; nor is it cut to the longest wait of the settings."""

    async def story() -> None:
        async with stage(parked_max_seconds=20) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [Retryable("no", retry_after=600), Retryable("no", retry_after=900)]
            on.deliver(event(0), event(1))
            await settle()
            assert parked(on) == [(0, "failed"), (1, "behind")]
            assert now() == 0
            await asyncio.sleep(600)
            assert on.called("event-0") == [1]
            await until(lambda: on.called("event-0") == [1, 2])
            at = now()
            await asyncio.sleep(890)
            assert len(on.handler.attempts) == 2
            await until(lambda: len(on.log.ended()) == 2)
            assert now() >= at + 900
            assert on.handler.attempts[-2:] == [("event-0", 3), ("event-1", 1)]

    play(story())


@pytest.mark.parametrize("write", ["WritePark", "WriteSettle"])
def test_what_the_parked_log_does_not_take_is_an_alarm_and_written_again(write: str) -> None:
    """Promise 5: an unacknowledged park pins the frontier, an unacknowledged settle what is read back."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(NO)
            if write == "WritePark":
                on.publisher.broken.add(TOPICS.parked)
            with capture_logs() as logs:
                on.deliver(event(0), event(1, connection="two"))
                await asyncio.sleep(2)
                on.publisher.broken.add(TOPICS.parked)
                await asyncio.sleep(40)
            pins = {(line["offset"], line["write"]) for line in logs if line["event"] == LogEvent.FRONTIER_PINNED}
            assert pins == {(0, write)}
            pinned = on.committed()
            if write == "WritePark":
                assert (pinned.frontier, len(on.handler.attempts)) == (0, 2)
            else:
                assert (pinned.frontier, pinned.outcomes_from, pinned.parked_from) == (2, 2, 1)
            on.publisher.broken.clear()
            await until(lambda: on.log.journal()[-1] == ("settle", 0))
            await on.commits()
            assert on.committed().parked_from == len(on.log.journal())
            assert on.called("event-0") == [1, 2]
            assert [word for word, _ in on.log.journal()] == ["taken", "park", "settle"]

    play(story())


def test_what_is_too_much_for_a_lane_waits_in_the_log_in_order() -> None:
    """One busy connection costs one partition no memory beyond the bound (promise 9)."""

    async def story() -> None:
        async with stage(lane_max_waiting=3) as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(*[event(number) for number in range(4)])
            await settle()
            assert parked(on) == []
            on.deliver(*[event(number) for number in range(4, 10)], start=4)
            await settle()
            assert parked(on) == [(number, "lane_full") for number in range(1, 5)] + [
                (number, "behind") for number in range(5, 10)
            ]
            assert on.member.gauges().held_events == 1
            on.handler.release("event-0")
            await until(lambda: len(on.log.ended()) == 10)
            assert [name for name, _ in on.handler.attempts] == [f"event-{number}" for number in range(10)]
            assert now() < 1

    play(story())


def test_a_tenant_beyond_its_share_waits_in_the_log_and_delays_nobody_else() -> None:
    """Promise 11: however much of it there is, reading goes on and comes to what others sent."""

    async def story() -> None:
        async with stage(tenants=2, max_held_events=100, tenant_max_held_share=0.5, max_in_flight=200) as on:
            await on.take(0)
            mine = others(90)
            on.handler.hold(*[each.id for each in mine[:50]])
            on.deliver(*mine, event(90, tenant="blue"))
            await until(on.log.ended)
            assert on.log.ended() == [(90, "applied")]
            assert parked(on) == [(number, "tenant_full") for number in range(50, 90)]
            assert on.subscription.reading[0]
            await asyncio.sleep(1)
            on.handler.release(*[each.id for each in mine[:50]])
            await until(lambda: len(on.log.ended()) == 91)
            assert len(on.handler.attempts) == 91

    play(story())


def test_a_tenant_that_is_alone_may_hold_all() -> None:
    """There is nobody whom it could delay."""

    async def story() -> None:
        async with stage(max_held_events=100, tenant_max_held_share=0.5) as on:
            await on.take(0)
            on.handler.hold(*[each.id for each in others(90)])
            on.deliver(*others(90))
            await settle()
            assert not on.log.parks()
            on.lose(0)

    play(story())


@pytest.mark.parametrize("partitions", [1, 2])
def test_parked_events_take_no_more_than_a_quarter_of_the_slots(partitions: int) -> None:
    """However many of them are due, what is new is called too; partitions share the quarter."""

    async def story() -> None:
        async with stage(max_in_flight=16, retry_attempts=1) as on:
            await on.take(*range(partitions))
            failing = [others(20, 100 * number) for number in range(partitions)]
            for number, events in enumerate(failing):
                for each in events:
                    on.handler.scripts[each.id].append(NO)
                on.deliver(*events, partition=number)
            await until(lambda: on.member.gauges().parked_events == 20 * partitions)
            on.handler.hold(*[each.id for events in failing for each in events])
            await asyncio.sleep(100)
            assert len(on.handler.inside) == 4
            on.deliver(*others(50, 500), start=500)
            await until(lambda: len(on.log.ended()) == 50)
            on.handler.release(*on.handler.gates)
            await until(lambda: on.member.gauges().parked_events == 0)
            assert sum(len(on.log.ended(number)) for number in range(partitions)) == 50 + 20 * partitions

    play(story())


def test_reading_pauses_where_the_scratch_is_full_and_goes_on_when_there_is_room() -> None:
    """Promise 9 on disk; the frontier goes on all the same."""

    async def story() -> None:
        async with stage(scratch_max_bytes=1_048_576, retry_attempts=1) as on:
            await on.take(0)
            big = [event(number, body=b"%d" % number + b"x" * 300_000) for number in range(5)]
            on.handler.scripts["event-0"].append(NO)
            on.deliver(*big)
            await until(lambda: len(on.log.parks()) == 5)
            assert on.subscription.reading[0]
            on.deliver(event(5), start=5)
            assert not on.subscription.reading[0]
            await on.commits()
            assert on.committed().frontier == 6
            assert on.member.gauges().scratch_bytes > 1_048_576
            await until(lambda: on.subscription.reading[0])
            assert on.member.gauges().scratch_bytes < 1_048_576
            await until(lambda: len(on.log.ended()) == 6)

    play(story())


def test_a_park_that_failed_unacknowledged_may_stand_twice_and_is_called_once() -> None:
    """Whether a record is in the log is not known when its acknowledgement did not come."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(NO)
            on.publisher.hold(TOPICS.parked)
            on.deliver(event(0))
            await settle()
            (write,) = on.publisher.on_the_way
            on.log.append(write.topic, 0, write.record)
            on.publisher.failures.append(NotAcknowledged("no"))
            on.publisher.let_through()
            await until(on.log.ended)
            await settle()
            assert on.log.journal() == [("taken", 1), ("park", 0), ("park", 0), ("settle", 0)]
            assert on.called("event-0") == [1, 2]

    play(story())

"""A member and what is parked when its partition goes: to nobody, back to itself, or to another member."""

import asyncio
import sqlite3
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from consumer.engine.committed import Committed
from schemas.errors import NotAcknowledged, Permanent, QueueFull, Retryable
from schemas.outcome import Applied, HandlerResult
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, now, settle, until
from tests.consumer.kafka import TOPICS
from tests.consumer.stage import DRAIN, Stage, others, play, stage

NO = Retryable("no")
WRITE_SECONDS = 10.0


async def park(on: Stage, count: int) -> None:
    """Have a lane of so many events parked, whose first is due within half a minute."""
    on.handler.scripts["event-0"].append(NO)
    on.deliver(*[event(number) for number in range(count)])
    await until(lambda: len(on.log.parks()) == count)
    await settle()


def test_letting_go_waits_for_parks_on_their_way() -> None:
    """The next owner reads them back, and the frontier is beyond them."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            on.publisher.hold(TOPICS.parked)
            on.handler.scripts["event-0"].append(NO)
            on.deliver(event(0), event(1))
            await settle()
            going = asyncio.create_task(on.release(0))
            await asyncio.sleep(3)
            assert not going.done()
            on.publisher.let_through()
            (request,) = await going
            assert now() == 3
            assert request.offset == 2
            assert on.committed() == Committed(frontier=2, epoch=1, outcomes_from=1, parked_from=1, parked_epoch=1)

    play(story())


@pytest.mark.parametrize("trouble", ["no acknowledgement", "no room"])
def test_what_cannot_be_parked_in_time_is_left_to_the_next_owner_and_not_written_any_more(trouble: str) -> None:
    """Its frontier waits for it; whoever wrote on would write for a partition that is somebody else's."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            before = asyncio.all_tasks()
            on.handler.scripts["event-0"].append(NO)
            if trouble == "no room":
                on.publisher.refusals += [QueueFull("full")] * 100_000
            else:
                on.publisher.broken.add(TOPICS.parked)
            on.deliver(event(0), event(1))
            await settle()
            (request,) = await on.release(0)
            assert now() == WRITE_SECONDS
            assert request.offset == 0
            left = len(on.publisher.refusals)
            on.publisher.broken.clear()
            await asyncio.sleep(100)
            assert len(on.publisher.refusals) == left
            assert on.log.parks() == []
            assert asyncio.all_tasks() == before

    play(story())


def test_a_failure_during_the_drain_is_left_to_the_next_owner() -> None:
    """It is neither parked nor given up, and no line says that it was."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(NO)
            on.handler.scripts["event-1"].append(Permanent("gone"))
            on.handler.hold("event-0", "event-1")
            on.deliver(*others(2))
            await settle()
            going = asyncio.create_task(on.release(0))
            await asyncio.sleep(1)
            with capture_logs() as logs:
                on.handler.release("event-0", "event-1")
                (request,) = await going
            assert request.offset == 0
            assert [line["event"] for line in logs] == [LogEvent.PARTITION_RELEASED]
            assert on.log.parks() == []
            assert on.log.dead() == []

    play(story())


def test_a_failed_member_that_is_letting_go_commits_nothing_and_breaks_nothing() -> None:
    """What it abandons is over at once, in the midst of a drain; the subscription still gets its answer."""

    async def story() -> None:
        on = Stage(retry_attempts=1)
        await on.take(0, 1)
        on.handler.hold("event-0")
        on.deliver(event(0))
        await settle()
        going = asyncio.create_task(on.release(0))
        await asyncio.sleep(1)
        on.member.abandon()
        assert await going == []
        assert on.handler.cancelled == ["event-0"]
        assert not on.member.failure.done()

    play(story())


def _release(on: Stage) -> None:
    asyncio.get_running_loop().create_task(on.release(0)).add_done_callback(lambda done: done.result())


def _lose(on: Stage) -> None:
    on.lose(0)


@pytest.mark.parametrize("go", [_release, _lose])
@pytest.mark.parametrize("topic", [TOPICS.outcomes, TOPICS.parked, TOPICS.dead])
@pytest.mark.parametrize("taken", [True, False])
def test_a_late_answer_to_any_write_finds_nobody(
    go: Callable[[Stage], None],
    topic: str,
    taken: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The tenure is over, and what it knew is thrown away; the record is a fact for the next owner, or void."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            before = asyncio.all_tasks()
            await park(on, 2)
            on.handler.scripts["event-7"].append(Permanent("gone"))
            on.handler.scripts["event-8"].append(NO)
            on.publisher.hold(topic)
            on.deliver(*others(3, 7), start=2)
            await asyncio.sleep(40)
            assert on.publisher.on_the_way
            go(on)
            await asyncio.sleep(40)
            commits = len(on.subscription.commits)
            if not taken:
                on.publisher.failures += [NotAcknowledged("no")] * len(on.publisher.on_the_way)
            with capture_logs() as logs:
                on.publisher.let_through()
                await asyncio.sleep(30)
            assert {line["event"] for line in logs} <= {LogEvent.MEMBER_MEASURED}
            assert len(on.subscription.commits) == commits
            assert asyncio.all_tasks() == before

    play(story())


def test_a_call_that_ends_after_its_tenure_is_heard_by_nobody() -> None:
    """It would not let itself be cancelled; its event is parked, and its outcome the next owner's business."""

    async def stubborn() -> HandlerResult:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(100)
        return Applied()

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0, 1)
            for partition, name in enumerate(("event-0", "event-1")):
                on.handler.scripts[name] += [NO, stubborn]
                on.deliver(event(partition), partition=partition)
            await until(lambda: len(on.handler.attempts) == 4)
            await settle()
            on.lose(0)
            await on.release(1)
            assert len(on.handler.inside) == 2
            await asyncio.sleep(200)
            assert not on.handler.inside
            assert on.log.ended(0) + on.log.ended(1) == []
            assert on.member.gauges().calls_in_flight == 0

    play(story())


@pytest.mark.parametrize("go", [_release, _lose])
def test_the_copy_of_what_is_parked_goes_with_the_tenure(go: Callable[[Stage], None]) -> None:
    """Each rebalance would else leave a database behind, on disk if it was large."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park(on, 3)
            (tenure,) = on.member._tenures.values()  # noqa: SLF001 - nothing public says it
            assert tenure.scratch.count == 3
            go(on)
            await asyncio.sleep(1)
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                tenure.scratch.oldest()
            assert on.member.gauges().parked_events == 0

    play(story())


def test_what_is_parked_waits_for_its_member_to_come_back() -> None:
    """With attempts, due time and order as they were; nothing of it is called before it is due, or twice."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park(on, 3)
            (failed, *_) = on.log.parks()
            await on.release(0)
            await asyncio.sleep(5)
            await on.take(0)
            assert on.member.gauges().parked_events == 3
            assert on.committed().frontier == 3
            on.deliver(event(3), start=3)
            await until(lambda: len(on.log.ended()) == 4)
            assert on.handler.started_at[-4] * 1000 + 1_800_000_000_000 >= failed.due
            assert [name for name, _ in on.handler.attempts[-4:]] == [f"event-{number}" for number in range(4)]
            assert on.handler.attempts[-4] == ("event-0", failed.attempts + 1)
            assert {ended.epoch for ended in on.log.outcomes()} == {2}

    play(story())


def test_a_second_member_takes_over_what_a_dead_one_had_parked() -> None:
    """Also what it had parked and not committed; a lane goes on where it was, and nothing is called twice."""

    async def story() -> None:
        async with stage(retry_attempts=1) as first:
            await first.take(0)
            await park(first, 2)
            await first.commits()
            first.subscription.refusing = True  # what follows is in the logs, and never committed
            first.deliver(event(2), *others(1, 3), start=2)
            await until(lambda: first.log.ended() == [(3, "applied")])
            first.lose(0)
            async with stage(first.log, retry_attempts=1) as second:
                second.subscription.committed = first.subscription.committed
                await second.take(0)
                assert (second.committed().frontier, second.member.gauges().parked_events) == (2, 3)
                second.deliver(event(2), *others(1, 3), event(4), start=2)
                await until(lambda: len(second.log.ended()) == 5)
                assert [name for name, _ in second.handler.attempts] == ["event-0", "event-1", "event-2", "event-4"]
                await settle()
                await second.commits()
                assert second.committed() == Committed(
                    frontier=5,
                    epoch=2,
                    outcomes_from=len(second.log.ended()) + 2,
                    parked_from=len(second.log.journal()),
                    parked_epoch=2,
                )

    play(story())


def test_what_ended_and_was_not_settled_when_its_member_died_is_settled_and_not_called() -> None:
    """The crash came between the two; the outcome is what counts (promise 7)."""

    async def story() -> None:
        async with stage(retry_attempts=1) as first:
            await first.take(0)
            await park(first, 2)
            await first.commits()
            first.publisher.hold(TOPICS.parked)
            await until(lambda: len(first.log.ended()) == 2)
            first.lose(0)
            async with stage(first.log, retry_attempts=1) as second:
                second.subscription.committed = first.subscription.committed
                await second.take(0)
                await settle()
                assert second.log.journal()[-2:] == [("settle", 0), ("settle", 1)]
                await second.commits()
                assert second.committed().parked_from == len(second.log.journal())
                await asyncio.sleep(100)
                assert second.handler.attempts == []
                assert len(second.log.ended()) == 2

    play(story())


def test_a_turn_in_flight_is_drained_as_any_call_is() -> None:
    """What ends in time is written and settled before the partition goes."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park(on, 2)
            on.handler.hold("event-0")
            await until(lambda: "event-0" in on.handler.inside)
            at = now()
            going = asyncio.create_task(on.release(0))
            await asyncio.sleep(DRAIN / 2)
            on.handler.release("event-0")
            await going
            assert now() == at + DRAIN / 2
            assert on.log.ended() == [(0, "applied")]
            assert on.log.journal()[-1] == ("settle", 0)
            assert on.called("event-1") == []
            assert on.committed().parked_from == 2

    play(story())

"""A member and its partitions: letting go, losing them, and getting them back."""

import asyncio

from structlog.testing import capture_logs

from consumer.engine.committed import Committed
from schemas.errors import NotAcknowledged, QueueFull, Retryable
from schemas.outcome import Applied, HandlerResult, Taken
from schemas.telemetry import LogEvent
from tests.consumer.fakes import (
    event,
    now,
    settle,
    until,
)
from tests.consumer.stage import DRAIN, others, play, stage


def test_letting_go_waits_for_calls_in_flight_and_commits_what_ended() -> None:
    """The next owner repeats nothing; nothing new starts meanwhile."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(event(0), event(1))
            await settle()
            going = asyncio.create_task(on.release(0))
            await asyncio.sleep(DRAIN / 2)
            assert not going.done()
            on.handler.release("event-0")
            (request,) = await going
            assert (request.partition, request.offset) == (0, 1)
            assert on.log.ended() == [(0, "applied")]
            assert now() == DRAIN / 2
            await asyncio.sleep(1000)
            assert on.handler.attempts == [("event-0", 1)]

    play(story())


def test_letting_go_cancels_what_is_late_to_its_end() -> None:
    """The commit is not sent before the call has ended: the next owner's must not meet it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-1"].append(_ends_slowly)
            on.deliver(*others(2))
            await settle()
            before = now()
            (request,) = await on.release(0)
            assert now() == before + DRAIN + 2
            assert request.offset == 1
            assert not on.handler.inside

    async def _ends_slowly() -> HandlerResult:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(2)
        return Applied()

    play(story())


def test_letting_go_waits_for_no_call_that_sleeps_between_attempts() -> None:
    """It is not in flight; one failing tenant would else delay every rebalance by the whole time of the drain."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(Retryable("no", retry_after=20))
            on.deliver(event(0))
            await settle()
            before = now()
            (request,) = await on.release(0)
            assert now() == before
            assert request.offset == 0
            await asyncio.sleep(5000)
            assert len(on.handler.attempts) == 1

    play(story())


def test_a_call_that_fails_while_its_partition_goes_is_not_repeated_here() -> None:
    """Its next attempt belongs to the next owner."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.handler.scripts["event-0"].append(Retryable("no"))
            on.deliver(event(0))
            await settle()
            going = asyncio.create_task(on.release(0))
            await asyncio.sleep(5)
            on.handler.release("event-0")
            await going
            assert now() == 5
            await asyncio.sleep(1000)
            assert on.handler.attempts == [("event-0", 1)]

    play(story())


def test_letting_go_waits_for_no_call_without_a_lease() -> None:
    """While Kafka is away no call starts, so that there is nothing to wait for."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.subscription.refusing = True
            await asyncio.sleep(100)
            on.deliver(*others(3))
            await settle()
            await on.release(0)
            assert now() == 100
            assert not on.handler.attempts

    play(story())


def test_letting_go_waits_for_outcomes_that_have_to_be_written_again() -> None:
    """What ended is known to the next owner even if Kafka stumbled at that moment."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.failures += [NotAcknowledged("no")] * 4
            on.publisher.refusals += [QueueFull("full")] * 3
            on.deliver(*others(2))
            await settle()
            (request,) = await on.release(0)
            assert request.offset == 2
            assert len(on.log.ended()) == 2

    play(story())


def test_letting_go_takes_bounded_time_even_if_kafka_is_away() -> None:
    """What is not acknowledged by then is not committed, and the next owner repeats it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.deliver(*others(2))
            await until(lambda: len(on.log.ended()) == 2)
            on.publisher.hold()
            on.deliver(*others(2, 2), start=2)
            await settle()
            before = now()
            (request,) = await on.release(0)
            assert request.offset == 2
            assert now() - before <= DRAIN + 10

    play(story())


def test_letting_go_one_partition_leaves_the_others_alone() -> None:
    """Their calls go on, and so do their commits, which hold their leases."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0, 1)
            on.handler.hold("event-0")
            on.deliver(event(0))
            await settle()
            going = asyncio.create_task(on.release(0))
            for number in range(50):
                await asyncio.sleep(0.3)
                on.deliver(event(100 + number, connection="one"), partition=1, start=number)
            await until(lambda: len(on.log.ended(1)) == 50)
            assert not going.done()
            await going
            await on.commits()
            assert on.committed(1).frontier == 50

    play(story())


def test_a_partition_let_go_during_its_takeover_commits_nothing_beyond_its_claim() -> None:
    """Nothing was read yet; a stop in that moment ends as any other does."""

    async def story() -> None:
        async with stage() as on:
            before = asyncio.all_tasks()
            on.log.note(Taken(epoch=3, member="another"))
            on.logs.stalled.clear()
            on.assign(0)
            await asyncio.sleep(1)
            assert await on.release(0) == []
            assert now() == 1
            on.logs.stalled.set()
            await asyncio.sleep(100)
            assert on.subscription.commands == []
            assert len(on.subscription.commits) == 1
            assert on.committed() == Committed(frontier=0, epoch=1)
            assert asyncio.all_tasks() == before

    play(story())


def test_records_on_their_way_when_a_partition_goes_are_left_to_its_next_owner() -> None:
    """Batches are handed over between threads, and may come after the partition has gone."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(event(0))
            await settle()
            going = asyncio.create_task(on.release(0))
            await settle()
            on.deliver(*others(2, 1), start=1)  # while it is let go
            await settle()
            on.handler.release("event-0")
            (request,) = await going
            on.deliver(*others(2, 3), start=3)  # after
            await asyncio.sleep(100)
            assert request.offset == 1
            assert on.handler.attempts == [("event-0", 1)]

    play(story())


def test_a_lost_partition_is_abandoned_at_once() -> None:
    """Somebody else may be calling already: what is in flight is cancelled, nothing is committed any more."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.handler.scripts["event-2"].append(Retryable("no"))
            on.deliver(event(0), event(1), *others(1, 2))
            await settle()
            on.lose(0)
            await settle()
            assert now() == 0
            assert on.handler.cancelled == ["event-0"]
            commits = len(on.subscription.commits)
            await asyncio.sleep(1000)
            assert len(on.handler.attempts) == 2
            assert len(on.subscription.commits) == commits
            assert on.log.ended() == []

    play(story())


def test_a_partition_lost_during_its_takeover_is_not_taken() -> None:
    """The takeover ends with it."""

    async def story() -> None:
        async with stage() as on:
            before = asyncio.all_tasks()
            on.subscription.silent = True
            on.assign(0)
            await asyncio.sleep(1)
            on.lose(0)
            on.subscription.silent = False
            await asyncio.sleep(100)
            assert on.log.taken() == []
            assert on.subscription.commands == []
            assert asyncio.all_tasks() == before

    play(story())


def test_calls_cancelled_before_they_began_give_their_slots_back() -> None:
    """Records and the loss of their partition may come in one go; the member must not become slower each time."""

    async def story() -> None:
        async with stage(max_in_flight=3) as on:
            for tenure in range(5):
                await on.take(0)
                on.deliver(*others(10, 10 * tenure), start=10 * tenure)
                on.lose(0)
                await settle()
            assert on.handler.attempts == []
            await on.take(0)
            on.deliver(*others(10, 100), start=100)
            await until(lambda: len(on.log.ended()) == 10)

    play(story())


def test_an_acknowledgement_that_comes_after_the_loss_does_no_harm() -> None:
    """It is a fact in the log, and the next owner's business."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.hold()
            on.deliver(event(0))
            await settle()
            on.lose(0)
            commits = len(on.subscription.commits)
            on.publisher.let_through()
            await asyncio.sleep(10)
            assert on.log.ended() == [(0, "applied")]
            assert len(on.subscription.commits) == commits

    play(story())


def test_an_outcome_refused_after_the_loss_is_not_written_for_ever() -> None:
    """It pins nobody's frontier any more, and would be one more of them at every loss."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.hold()
            on.deliver(event(0))
            await settle()
            on.lose(0)
            on.publisher.failures.append(NotAcknowledged("no"))
            with capture_logs() as logs:
                on.publisher.let_through()
                await asyncio.sleep(100)
            assert on.log.ended() == []
            assert {line["event"] for line in logs} <= {LogEvent.MEMBER_MEASURED}

    play(story())


def test_a_partition_that_comes_back_goes_on_where_it_was() -> None:
    """With a new epoch, and without repeating what had ended."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(*others(3))
            await until(lambda: len(on.log.ended()) == 2)
            on.lose(0)
            on.handler.gates.clear()
            await on.take(0)
            on.deliver(*others(4))
            await until(lambda: len(on.log.ended()) == 4)
            assert [name for name, _ in on.handler.attempts] == [
                "event-0",
                "event-1",
                "event-2",
                "event-0",
                "event-3",
            ]
            await on.commits()
            assert on.committed() == Committed(frontier=4, epoch=2, outcomes_from=6, parked_from=2, parked_epoch=2)

    play(story())


def test_a_second_member_repeats_only_what_had_no_outcome() -> None:
    """Promise 8, after a crash: the first member simply stops being there."""

    async def story() -> None:
        async with stage() as first:
            await first.take(0)
            first.handler.hold("event-1")
            first.deliver(*others(4))
            await until(lambda: len(first.log.ended()) == 3)
            await first.commits()
            committed = first.subscription.committed
            async with stage(first.log) as second:
                second.subscription.committed = committed
                await second.take(0)
                assert second.committed().frontier == 1
                second.deliver(*others(3, 1), start=1)
                await until(lambda: len(second.log.ended()) == 4)
                assert second.handler.attempts == [("event-1", 1)]
            first.lose(0)

    play(story())

"""What a member lives through, and what ends it."""

import asyncio

from structlog.testing import capture_logs

from schemas.errors import Retryable, UnpublishableRecord, UnreadableRecord
from schemas.telemetry import LogEvent
from tests.consumer.fakes import (
    event,
    settle,
    until,
)
from tests.consumer.stage import Stage, others, play, stage


def test_a_claim_that_is_refused_is_repeated_until_the_partition_goes() -> None:
    """A rebalance is under way: either the claim is taken after it, or the partition is taken away."""

    async def story() -> None:
        async with stage() as on:
            on.subscription.refusing = True
            on.assign(0, 1)
            await asyncio.sleep(100)
            assert on.log.taken() == []
            assert await on.release(0) == []
            on.subscription.refusing = False
            await until(lambda: on.subscription.reading[1])
            await asyncio.sleep(100)
            assert on.log.taken(0) == []
            assert on.log.taken(1) == [(1, "me")]

    play(story())


def test_metadata_of_a_later_release_ends_the_member() -> None:
    """It must not take over what it does not understand."""

    async def story() -> None:
        on = Stage()
        on.subscription.committed[0] = (5, '{"v":3,"epoch":3}')
        on.assign(0)
        assert isinstance(await on.member.failure, UnreadableRecord)
        assert on.subscription.commits == []

    play(story())


def test_a_takeover_that_can_never_work_ends_the_member() -> None:
    """To hold a partition and handle nothing would stop it for everybody."""

    async def story() -> None:
        on = Stage()
        on.publisher.failures.append(UnpublishableRecord("not authorised"))
        on.assign(0)
        assert isinstance(await on.member.failure, UnpublishableRecord)

    play(story())


def test_a_fault_in_what_follows_a_call_ends_the_member() -> None:
    """An event in memory that nobody handles any more would hold its lane for ever."""

    async def story() -> None:
        on = Stage()
        await on.take(0)
        error = RuntimeError("a bug of ours")
        on.publisher.refusals.append(error)
        on.deliver(event(0))
        assert await on.member.failure is error
        on.member.fail(RuntimeError("a later one"))
        assert on.member.failure.result() is error

    play(story())


def test_a_fault_in_committing_ends_the_member() -> None:
    """Without commits no lease is renewed, and everything would stand still without a word."""

    async def story() -> None:
        on = Stage()
        await on.take(0)
        error = RuntimeError("a bug of ours")
        on.subscription.fault = error
        commits = asyncio.create_task(on.member.commit_regularly())
        commits.add_done_callback(on.member.check)
        assert await on.member.failure is error

    play(story())


def test_a_refused_commit_is_said_and_repeated() -> None:
    """It is usual around a rebalance, and no error."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.deliver(event(0))
            await until(on.log.ended)
            on.subscription.refusing = True
            with capture_logs() as logs:
                await asyncio.sleep(3.5)
            refused = [line for line in logs if line["event"] == LogEvent.COMMIT_FAILED]
            assert [line["log_level"] for line in refused] == ["info"] * 3
            on.subscription.refusing = False
            await on.commits()
            assert on.committed().frontier == 1

    play(story())


def test_nothing_is_left_running_when_everything_has_been_let_go() -> None:
    """After work of every kind: no task, no record, no slot."""

    async def story() -> None:
        async with stage(max_in_flight=2) as on:
            before = asyncio.all_tasks()
            await on.take(0, 1, 2)
            on.handler.hold("event-0", "event-50")
            on.handler.scripts["event-1"].append(Retryable("no", retry_after=500))
            on.deliver(*others(20), event(0))
            on.deliver(*others(20, 50), partition=1)
            await asyncio.sleep(1)
            on.lose(1)
            await on.release(0)
            await on.release(2)
            await settle()
            assert asyncio.all_tasks() == before
            assert on.member._starts.slots.taken == 0  # noqa: SLF001 - nothing public says it
            assert not on.member._tenures  # noqa: SLF001 - likewise

    play(story())

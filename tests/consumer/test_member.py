"""A member of a group, with a Kafka in memory and in virtual time: from assignment to letting go."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from broker.subscription import Assignment, CommitRequest
from consumer.calls import Calls
from consumer.engine.committed import Committed, read_committed
from consumer.lease import LEASE_SHARE
from consumer.member import GroupMember
from consumer.retry import Backoff
from consumer.taking_over import Clients
from schemas.errors import NotAcknowledged, Permanent, QueueFull, Retryable, UnpublishableRecord, UnreadableRecord
from schemas.event import Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.telemetry import LogEvent
from tests.consumer.fakes import (
    OUTCOMES,
    FakeLogs,
    FakePublisher,
    FakeSubscription,
    OutcomesLog,
    ScriptedHandler,
    event,
    garbage,
    in_virtual_time,
    now,
    records_of,
    settings,
    settle,
    until,
)

DRAIN = 20.0
IGNORED = Ignored(reason="type_not_synced")


class Stage:
    """One member, what it talks to, and what it is told."""

    def __init__(self, log: OutcomesLog | None = None, **given: object) -> None:
        self.settings = settings(drain_seconds=DRAIN, retry_initial_seconds=1, retry_max_seconds=60, **given)
        self.log = log or OutcomesLog()
        self.handler = ScriptedHandler()
        self.publisher = FakePublisher(self.log)
        self.logs = FakeLogs(self.log)
        self.subscription = FakeSubscription()
        self.member = GroupMember(self.settings, "me", Calls(handler=self.handler, backoff=Backoff(initial=1, most=60)))
        self.member.connect(
            Clients(subscription=self.subscription, publisher=self.publisher, logs=self.logs, outcomes=OUTCOMES)
        )

    def assign(self, *partitions: int) -> list[Assignment]:
        """Give partitions to the member."""
        assignments = [self.subscription.assign(partition) for partition in partitions]
        self.member.assigned(assignments)
        return assignments

    async def take(self, *partitions: int) -> None:
        """Give partitions to the member, and wait until it reads them."""
        self.assign(*partitions)
        await until(lambda: all(self.subscription.reading[partition] for partition in partitions))

    def deliver(self, *events: Event, partition: int = 0, start: int = 0) -> None:
        """Let the member read events."""
        self.member.received(records_of(events, partition, start))

    async def release(self, *partitions: int) -> Sequence[CommitRequest]:
        """Take partitions away as a rebalance does: commit what the member says, and end their tenures."""
        requests = await self.member.released(partitions)
        self.subscription.take(requests)
        self.end(*partitions)
        return requests

    def lose(self, *partitions: int) -> None:
        """Take partitions away without asking."""
        self.end(*partitions)
        self.member.lost(partitions)

    def end(self, *partitions: int) -> None:
        """End tenures."""
        for partition in partitions:
            del self.subscription.current[partition]

    def committed(self, partition: int = 0) -> Committed:
        """Read what is committed."""
        return read_committed(*self.subscription.committed[partition])

    async def commits(self) -> None:
        """Let the member commit once."""
        sent = len(self.subscription.commits)
        await until(lambda: len(self.subscription.commits) > sent)


@asynccontextmanager
async def stage(log: OutcomesLog | None = None, **given: object) -> AsyncIterator[Stage]:
    """Set a member up that commits regularly; a member that has failed fails the test."""
    made = Stage(log, **given)
    commits = asyncio.create_task(made.member.commit_regularly())
    commits.add_done_callback(made.member.check)
    yield made
    commits.cancel()
    await settle()
    assert not made.member.failure.done(), made.member.failure.result()


def others(count: int, first: int = 0) -> list[Event]:
    """Make events, each in a lane of its own."""
    return [event(number, connection=f"c-{number}") for number in range(first, first + count)]


def play(story: Coroutine[None, None, None]) -> None:
    """Tell a story in virtual time."""
    in_virtual_time(story)


# The way of an event.


def test_an_event_goes_from_the_topic_to_the_commit() -> None:
    """Assigned, taken over, received, handled, its outcome written, its offset committed."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            assert on.log.taken() == [(1, "me")]
            on.deliver(event(0), event(1, connection="two"))
            await until(lambda: on.log.ended() == [(0, "applied"), (1, "applied")])
            await on.commits()
            assert on.committed() == Committed(frontier=2, epoch=1, outcomes_from=3)

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


@pytest.mark.parametrize(
    "error", [Retryable("Fuse answered 500"), Permanent("no account"), RuntimeError("a bug"), TimeoutError()]
)
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
            assert [number for name, number in on.handler.attempts if name == "event-0"] == [1, 2, 3, 4]

    play(story())


def test_an_ignored_event_lets_its_lane_go_on_when_that_is_in_the_log() -> None:
    """The next owner must not see the lane go on without it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(IGNORED)
            on.publisher.held = True
            on.deliver(event(0), event(1))
            await asyncio.sleep(3)
            assert len(on.handler.attempts) == 1
            on.publisher.let_through()
            await until(lambda: on.log.ended() == [(0, "ignored"), (1, "applied")])

    play(story())


def test_garbage_is_counted_and_named_and_passed() -> None:
    """It pins no frontier, and what it holds is not logged."""

    async def story() -> None:
        async with stage() as on:
            await on.take(3)
            with capture_logs() as logs:
                on.member.received([garbage(3, 0), *records_of([event(1)], 3, 1), garbage(3, 2)])
            await until(lambda: on.log.ended(3))
            await on.commits()
            assert on.committed(3).frontier == 3
            assert on.member.unreadable == 2
            lines = [line for line in logs if line["event"] == LogEvent.RECORD_UNREADABLE]
            assert [(line["topic"], line["partition"], line["offset"]) for line in lines] == [
                ("fuse.webhooks", 3, 0),
                ("fuse.webhooks", 3, 2),
            ]
            assert lines[0]["reason"] == "not-cloudevents"

    play(story())


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


# Acknowledgements.


def test_an_outcome_that_kafka_does_not_take_pins_the_frontier_and_is_written_again() -> None:
    """Promise 5: an alarm, never logged and skipped."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.failures += [NotAcknowledged("no broker")] * 30
            with capture_logs() as logs:
                on.deliver(event(0), event(1, connection="two"))
                await on.commits()
                assert on.committed().frontier == 0
                await until(lambda: len(on.log.ended()) == 2)
            assert sum(line["event"] == LogEvent.FRONTIER_PINNED for line in logs) == 30
            assert sum(line["event"] == LogEvent.FRONTIER_PINNED and line["offset"] == 1 for line in logs) == 15
            await on.commits()
            assert on.committed().frontier == 2
            assert len(on.handler.attempts) == 2

    play(story())


@pytest.mark.parametrize("refusal", [QueueFull("full"), NotAcknowledged("unknown partition")])
def test_an_outcome_for_which_there_is_no_room_is_written_when_there_is(refusal: Exception) -> None:
    """Nothing is handled twice for it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.refusals += [refusal] * 60
            on.deliver(*others(3))
            await on.commits()
            assert on.committed().frontier == 0
            await until(lambda: sorted(on.log.ended()) == [(0, "applied"), (1, "applied"), (2, "applied")])
            await on.commits()
            assert on.committed().frontier == 3

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


# Bounds.


def test_reading_pauses_at_the_bound_and_goes_on_when_there_is_room() -> None:
    """Promise 9."""

    async def story() -> None:
        async with stage(max_held_events=100) as on:
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
        async with stage(max_held_events=100) as on:
            await on.take(0, 1)
            on.handler.hold("event-0", "event-1000")
            on.deliver(*[event(number) for number in range(49)])
            assert on.subscription.reading[0]
            on.deliver(event(49), start=49)
            assert not on.subscription.reading[0]
            on.lose(1)
            await on.take(2)
            on.lose(2)
            on.handler.release("event-0")
            await until(lambda: on.subscription.reading[0])
            on.handler.hold("event-1000")
            on.deliver(*[event(number, connection="more") for number in range(1000, 1060)], start=50)
            assert on.subscription.reading[0]

    play(story())


# The lease.


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


def test_commits_come_often_enough_for_the_lease_whatever_their_interval() -> None:
    """Also when there is nothing new to commit."""

    async def story() -> None:
        async with stage(commit_interval_seconds=60) as on:
            await on.take(0)
            lease = on.settings.session_timeout_seconds * LEASE_SHARE
            await asyncio.sleep(lease * 10)
            assert len(on.subscription.commits) >= 30

    play(story())


# Letting go.


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
            on.handler.scripts["event-0"].append(Retryable("no", retry_after=1000))
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
            on.publisher.held = True
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
            on.logs.stalled.clear()
            on.assign(0)
            await asyncio.sleep(1)
            assert await on.release(0) == []
            assert now() == 1
            on.logs.stalled.set()
            await asyncio.sleep(100)
            assert on.subscription.commands == []
            assert on.subscription.commits == []

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


# Losing.


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
            on.subscription.silent = True
            on.assign(0)
            await asyncio.sleep(1)
            on.lose(0)
            on.subscription.silent = False
            await asyncio.sleep(100)
            assert on.log.taken() == []
            assert on.subscription.commands == []

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
            on.publisher.held = True
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
            on.publisher.held = True
            on.deliver(event(0))
            await settle()
            on.lose(0)
            on.publisher.failures.append(NotAcknowledged("no"))
            with capture_logs() as logs:
                on.publisher.let_through()
                await asyncio.sleep(100)
            assert on.log.ended() == []
            assert not logs

    play(story())


# Coming back.


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
            assert on.committed() == Committed(frontier=4, epoch=2, outcomes_from=6)

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


# What ends a member.


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
        on.subscription.committed[0] = (5, '{"v":2,"epoch":3}')
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
                await asyncio.sleep(3)
            assert {(line["event"], line["log_level"]) for line in logs} == {(LogEvent.COMMIT_FAILED, "info")}
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
            assert on.member._slots.taken == 0  # noqa: SLF001 - nothing public says it
            assert not on.member._tenures  # noqa: SLF001 - likewise

    play(story())

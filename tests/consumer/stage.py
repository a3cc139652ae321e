"""A member of a group on a stage: a Kafka in memory around it, and a clock that jumps."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from broker.subscription import Assignment, CommitRequest
from consumer.calls import Calls
from consumer.engine.committed import Committed, read_committed
from consumer.member import GroupMember
from consumer.retry import Backoff
from consumer.taking_over import Clients
from schemas.event import Event
from tests.consumer.fakes import (
    OUTCOMES,
    FakeLogs,
    FakePublisher,
    FakeSubscription,
    OutcomesLog,
    ScriptedHandler,
    event,
    in_virtual_time,
    records_of,
    settings,
    settle,
    until,
)

DRAIN = 20.0


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

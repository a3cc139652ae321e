"""A member of a group on a stage: a Kafka in memory around it, and a clock that jumps."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from broker.subscription import Assignment, CommitRequest
from consumer.alarms import Alarms
from consumer.calls import Calls
from consumer.engine.committed import Committed, read_committed
from consumer.handlers.sync import SUPERSEDES
from consumer.holds import Holds
from consumer.limits import hold_policy, lane_budget, policy
from consumer.member import GroupMember
from schemas.event import Event
from tests.consumer.fakes import (
    ScriptedHandler,
    clock,
    event,
    in_virtual_time,
    records_of,
    settings,
    settle,
    until,
)
from tests.consumer.kafka import FakeKafka, GroupLogs

DRAIN = 20.0


class Stage:
    """One member, what it talks to, and what it is told."""

    def __init__(self, log: GroupLogs | None = None, tenants: int = 1, **given: object) -> None:
        self.settings = settings(**{"drain_seconds": DRAIN, "retry_initial_seconds": 1, **given})
        self.handler = ScriptedHandler()
        kafka = FakeKafka(log)
        self.log = kafka.logs
        self.publisher, self.logs, self.trimmer = kafka.publisher, kafka.reader, kafka.trimmer
        self.subscription = kafka.subscription
        holds = Holds(hold_policy(self.settings), Alarms(clock))
        calls = Calls(handler=self.handler, budget=lane_budget(self.settings), clock=clock, holds=holds)
        treated = policy(self.settings, tenants=tenants, supersedes=SUPERSEDES)
        self.member = GroupMember(self.settings, "me", calls, treated)
        self.member.connect(kafka.clients())

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

    def called(self, name: str) -> list[int]:
        """List the numbers of the attempts at an event."""
        return [number for called, number in self.handler.attempts if called == name]


@asynccontextmanager
async def stage(log: GroupLogs | None = None, tenants: int = 1, **given: object) -> AsyncIterator[Stage]:
    """Set a member up with its regular work; a member that has failed fails the test."""
    made = Stage(log, tenants, **given)
    regular = [asyncio.create_task(work) for work in made.member.regular_work()]
    for task in regular:
        task.add_done_callback(made.member.check)
    yield made
    for task in regular:
        task.cancel()
    await settle()
    assert not made.member.failure.done(), made.member.failure.result()


def others(count: int, first: int = 0) -> list[Event]:
    """Make events, each in a lane of its own."""
    return [event(number, connection=f"c-{number}") for number in range(first, first + count)]


def play(story: Coroutine[None, None, None]) -> None:
    """Tell a story in virtual time."""
    in_virtual_time(story)

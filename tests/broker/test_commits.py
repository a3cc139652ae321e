"""Commits: one at a time and in order, each answer for its own request, and nobody waits for them with the reading."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.commits import Asked, CommitRefused, CommitRequest, Commits
from broker.subscription import Assignment, Subscription
from schemas.topics import consumer_group_id
from tests.broker.conftest import CreateTopic
from tests.broker.test_subscription import GROUP, WITHIN, Recorder, frontier, produce, subscribe, until
from tests.conftest import Cluster

IN_PROGRESS = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)

STAYS = """
import sys
from confluent_kafka import Consumer
client = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "session.timeout.ms": sys.argv[4],
                   "heartbeat.interval.ms": 500, "partition.assignment.strategy": "cooperative-sticky"})
client.subscribe([sys.argv[3]])
while True:
    client.poll(1)
"""


class Slow:
    """A consumer whose commits are answered when the test says so; those that are waited for are answered at once."""

    def __init__(self, commits: Commits) -> None:
        self.sent: list[list[int]] = []
        self.fails = False
        self._commits = commits
        self._open: list[list[TopicPartition]] = []

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        """Take a commit."""
        if self.fails:
            raise KafkaException(IN_PROGRESS)
        self.sent.append([place.offset for place in offsets])
        if asynchronous:
            self._open.append(offsets)
            return None
        return offsets

    def answer(self, error: KafkaError | None = None) -> None:
        """Answer the oldest."""
        self._commits.on_commit(error, self._open.pop(0))


class Desk:
    """Commits of a slow consumer, and what was answered, in order: the offset, and the tenures or the refusal."""

    def __init__(self) -> None:
        self.past: set[int] = set()
        self.answers: list[tuple[int, object]] = []
        self.commits = Commits("hooks", lambda request: request.tenure not in self.past)
        self.consumer = Slow(self.commits)
        self.commits.attach(cast("Consumer", self.consumer))

    def ask(self, offset: int, tenure: int = 1) -> None:
        """Ask for a commit."""

        def answer(result: object) -> None:
            self.answers.append((offset, str(result) if isinstance(result, CommitRefused) else result))

        self.commits.ask(Asked(requests=[request(offset, tenure)], answer=answer))


def request(offset: int, tenure: int = 1) -> CommitRequest:
    """Request a commit for the one partition."""
    return CommitRequest(partition=0, tenure=tenure, offset=offset, metadata="")


TAKEN = frozenset({1})


def test_the_next_is_sent_when_the_one_before_is_answered() -> None:
    """Two at once could be taken in another order, and an answer could not be told from the other's."""
    desk = Desk()
    desk.ask(5)
    desk.ask(6)
    desk.commits.send()
    desk.commits.send()
    assert desk.consumer.sent == [[5]]
    desk.consumer.answer(IN_PROGRESS)
    assert desk.consumer.sent == [[5], [6]]
    desk.consumer.answer()
    assert desk.answers == [(5, IN_PROGRESS.str()), (6, TAKEN)]


def test_a_tenure_that_ended_while_its_commit_waited_is_not_committed() -> None:
    """What matters is who holds the partition when it is sent, not when it was asked for."""
    desk = Desk()
    desk.ask(5)
    desk.ask(6, tenure=2)
    desk.ask(7, tenure=3)
    desk.commits.send()
    desk.past = {2}
    desk.consumer.answer()
    desk.consumer.answer()
    assert desk.consumer.sent == [[5], [7]]
    assert desk.answers == [(5, TAKEN), (6, frozenset()), (7, {3})]


def test_where_nothing_polls_what_waits_is_committed_in_order_before_what_comes_last() -> None:
    """The answer to the one under way comes later, and is still the answer to that one."""
    desk = Desk()
    for offset in (5, 6, 7):
        desk.ask(offset)
    desk.commits.send()
    desk.commits.settle()
    assert desk.commits.now([request(8)]) == TAKEN
    assert desk.consumer.sent == [[5], [6], [7], [8]]
    desk.consumer.answer(IN_PROGRESS)
    assert desk.answers == [(6, TAKEN), (7, TAKEN), (5, IN_PROGRESS.str())]


def test_a_partition_that_was_refused_alone_is_missing_from_the_answer() -> None:
    """Each partition of a commit has an error of its own."""
    desk = Desk()
    places = [TopicPartition("hooks", 0, 5), TopicPartition("hooks", 1, 5)]
    answers: list[object] = []
    both = [request(5), CommitRequest(partition=1, tenure=2, offset=5, metadata="")]
    desk.commits.ask(Asked(requests=both, answer=answers.append))
    desk.commits.send()
    refused = cast("Any", type("Place", (), {"partition": 1, "error": IN_PROGRESS}))
    desk.commits.on_commit(None, [places[0], refused])
    assert answers == [TAKEN]


def test_whoever_cannot_be_served_is_told() -> None:
    """A client that takes no commits refuses each; one that has ended leaves none unanswered."""
    desk = Desk()
    desk.consumer.fails = True
    desk.ask(5)
    desk.commits.send()
    desk.ask(6)
    desk.commits.settle()
    desk.consumer.fails = False
    desk.ask(7)
    desk.ask(8)
    desk.commits.send()
    desk.commits.drop()
    refused = IN_PROGRESS.str()
    assert desk.answers == [(5, refused), (6, refused), (7, frozenset()), (8, frozenset())]


async def test_a_survivor_reads_on_while_the_group_waits_for_a_dead_member(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """With the classic protocol Kafka then answers no commit, for as long as the dead member's session goes on."""
    topic = create_topic(2)
    survivor, newcomer = Recorder(), Recorder()
    async with subscribe(cluster, topic, survivor) as one:
        await until(lambda: len(survivor.held) == 2, one)
        async with dies_afterwards(cluster, topic):
            await until(lambda: len(survivor.held) == 1, one)
        (held,) = survivor.held.values()
        async with subscribe(cluster, topic, newcomer) as other:
            unanswered = await stalled(one, held)
            produce(cluster, topic, {held.partition: 10})
            await until(lambda: len(survivor.records[held.partition]) == 10, one, other)
            assert not unanswered.done(), "it was read only when the group went on"
            await asyncio.gather(unanswered, return_exceptions=True)
            await until(lambda: len(newcomer.held) == 1, one, other)
            assert await one.commit([frontier(held, 10)]) == {held.tenure}


@asynccontextmanager
async def dies_afterwards(cluster: Cluster, topic: str) -> AsyncIterator[None]:
    """Have a member in a process of its own, and kill it at the end."""
    command = [sys.executable, "-c", STAYS, cluster.bootstrap_servers, consumer_group_id(topic, GROUP), topic]
    session_seconds = 4 if cluster.quick_groups else 6  # the least that is allowed where nobody said otherwise
    process = await asyncio.create_subprocess_exec(*command, str(session_seconds * 1000))
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def stalled(subscription: Subscription, held: Assignment) -> asyncio.Future[frozenset[int]]:
    """Commit again and again; give the first commit that is not answered soon."""
    async with asyncio.timeout(WITHIN):
        while True:
            asked = subscription.commit([frontier(held, 0)])
            await asyncio.wait([asked], timeout=0.5)
            if not asked.done():
                return asked

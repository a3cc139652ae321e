"""The subscription on a real Kafka: order, tenures, handing over, and records that have expired."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from broker.subscription import Assignment, CommitRequest, Subscription
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent
from schemas.topics import consumer_group_id
from tests.broker.conftest import CreateTopic
from tests.conftest import Cluster

WITHIN = 30
GROUP = "sync"


class Recorder:
    """A member that writes down what it is told, and answers as a test wants.

    `reads` says whether it resumes what it is given; `last_commits` gives what it wants committed when it lets go;
    `may_release` holds the letting go back until it is set.
    """

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.held: dict[int, Assignment] = {}
        self.records: dict[int, list[ReceivedRecord]] = defaultdict(list)
        self.let_go: list[int] = []
        self.letting_go = asyncio.Event()
        self.may_release = asyncio.Event()
        self.may_release.set()
        self.commits_at_release: Callable[[Assignment], CommitRequest | None] = lambda _: None

    def attach(self, subscription: Subscription) -> None:
        """Get to know the subscription that tells this member."""
        self.subscription = subscription

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Hold, and read if told so."""
        for assignment in assignments:
            self.held[assignment.partition] = assignment
            if self.reads:
                self.subscription.resume(assignment.partition, assignment.tenure)

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Write records down; those of partitions not held are a fault of the subscription."""
        for record in records:
            assert record.partition in self.held, "a record of a partition that is not held"
            self.records[record.partition].append(record)

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let go when the test allows it."""
        self.letting_go.set()
        await self.may_release.wait()
        self.let_go += partitions
        commits = [self.commits_at_release(self.held.pop(partition)) for partition in partitions]
        return [commit for commit in commits if commit is not None]

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget."""
        for partition in partitions:
            self.held.pop(partition)

    @property
    def offsets(self) -> dict[int, list[int]]:
        """Give the offsets received, by partition."""
        return {partition: [record.offset for record in records] for partition, records in self.records.items()}


def settings(servers: str, topic: str, **given: object) -> ConsumerSettings:
    """Give settings that reach a cluster."""
    return ConsumerSettings(
        **{  # type: ignore[arg-type] # validated by pydantic
            "kafka_bootstrap_servers": servers,
            "tenants_file": Path("tenants.toml"),
            "topic": topic,
            "group": GROUP,
            "session_timeout_seconds": 6,
            "_env_file": None,
            **given,
        }
    )


def subscribe(cluster: Cluster, topic: str, member: Recorder, **given: object) -> Subscription:
    """Connect a member with a subscription, to be entered; settings are given by name."""
    subscription = Subscription(settings(cluster.bootstrap_servers, topic, **given), member)
    member.attach(subscription)
    return subscription


async def until(is_so: Callable[[], bool], *subscriptions: Subscription) -> None:
    """Wait until something is so; a subscription that fails meanwhile fails the test."""
    async with asyncio.timeout(WITHIN):
        while not is_so():
            for subscription in subscriptions:
                assert not subscription.failure.done(), subscription.failure
            await asyncio.sleep(0.01)


def produce(cluster: Cluster, topic: str, counts: Mapping[int, int]) -> None:
    """Append numbered records to partitions."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    errors: list[object] = []
    for partition, count in counts.items():
        for number in range(count):
            producer.produce(
                topic, b"value %d" % number, b"key", partition, headers={"n": b"%d" % number},
                on_delivery=lambda error, _: errors.append(error),
            )  # fmt: skip
    producer.flush(WITHIN)
    assert errors == [None] * sum(counts.values())


def expire(cluster: Cluster, topic: str, below: Mapping[int, int]) -> None:
    """Delete the records of partitions below an offset, as retention does."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    places = [TopicPartition(topic, partition, offset) for partition, offset in below.items()]
    for future in client.delete_records(places).values():
        future.result(timeout=WITHIN)


@contextmanager
def group_consumer(cluster: Cluster, topic: str) -> Iterator[Consumer]:
    """Open a plain consumer with the group's name, outside its membership."""
    config: dict[str, Any] = {
        "bootstrap.servers": cluster.bootstrap_servers,
        "group.id": consumer_group_id(topic, GROUP),
        "enable.auto.commit": False,
    }
    with closing(Consumer(config)) as consumer:
        yield consumer


def committed(cluster: Cluster, topic: str, partition: int) -> tuple[int, str | None]:
    """Read what the group has committed: the offset, negative if none, and the metadata."""
    with group_consumer(cluster, topic) as consumer:
        (place,) = consumer.committed([TopicPartition(topic, partition)], WITHIN)
    return place.offset, place.metadata


def commit_as_operator(cluster: Cluster, topic: str, partition: int, offset: int, metadata: str = "") -> None:
    """Commit for a group that has no member now."""
    with group_consumer(cluster, topic) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)


def frontier(held: Assignment, offset: int, metadata: str = "") -> CommitRequest:
    """Ask for a commit under the tenure of an assignment."""
    return CommitRequest(partition=held.partition, tenure=held.tenure, offset=offset, metadata=metadata)


async def test_each_partitions_records_come_whole_and_in_order(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """Batches carry every record once, with its coordinates, time and headers."""
    topic = create_topic(3)
    produce(cluster, topic, {0: 1200, 1: 700, 2: 1})
    member = Recorder()
    async with subscribe(cluster, topic, member, group_protocol=protocol) as subscription:
        await until(lambda: sum(map(len, member.records.values())) >= 1901, subscription)
    assert member.offsets == {0: [*range(1200)], 1: [*range(700)], 2: [0]}
    last = member.records[1][-1]
    assert (last.key, last.value, list(last.headers)) == (b"key", b"value 699", [("n", b"699")])
    assert last.timestamp > 1_700_000_000


async def test_nothing_comes_before_resume_nor_after_pause(cluster: Cluster, create_topic: CreateTopic) -> None:
    """A partition is silent from its assignment on until it is resumed; pausing and resuming skips and repeats none."""
    topic = create_topic(2)
    produce(cluster, topic, {0: 100, 1: 100})
    member = Recorder(reads=False)
    async with subscribe(cluster, topic, member) as subscription:
        await until(lambda: len(member.held) == 2, subscription)
        subscription.resume(0, member.held[0].tenure)
        await until(lambda: len(member.records[0]) == 100, subscription)
        assert not member.records[1]

        subscription.pause(0, member.held[0].tenure)
        subscription.resume(1, member.held[1].tenure)
        await subscription.commit([])  # answered in its turn, and so after the two
        produce(cluster, topic, {0: 50, 1: 50})
        await until(lambda: len(member.records[1]) == 150, subscription)
        assert len(member.records[0]) == 100

        subscription.resume(0, member.held[0].tenure)
        await until(lambda: len(member.records[0]) == 150, subscription)
    assert member.offsets == {0: [*range(150)], 1: [*range(150)]}


async def test_commands_of_a_past_tenure_are_dropped(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """Neither a commit nor a resume of another tenure has an effect, and the answer says which commits were taken."""
    topic = create_topic(2)
    produce(cluster, topic, {0: 10, 1: 10})
    member = Recorder(reads=False)
    async with subscribe(cluster, topic, member, group_protocol=protocol) as subscription:
        await until(lambda: len(member.held) == 2, subscription)
        past = Assignment(partition=0, tenure=member.held[0].tenure + 99, start=0, metadata="")
        subscription.resume(past.partition, past.tenure)
        assert await subscription.commit([frontier(past, 7), frontier(member.held[1], 5, "4 ✓")]) == {
            member.held[1].tenure
        }
        assert await subscription.commit([frontier(past, 7)]) == frozenset()
        subscription.resume(1, member.held[1].tenure)
        await until(lambda: len(member.records[1]) == 10, subscription)
    assert not member.records[0]
    assert committed(cluster, topic, 0)[0] < 0
    assert committed(cluster, topic, 1) == (5, "4 ✓")


async def test_a_group_that_never_committed_starts_at_the_earliest_record(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """Nothing is skipped for being older than the group, and nothing is reported as missed."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 10})
    expire(cluster, topic, {0: 4})
    member = Recorder()
    with capture_logs() as logs:
        async with subscribe(cluster, topic, member) as subscription:
            await until(lambda: len(member.records[0]) == 6, subscription)
            assert (member.held[0].start, member.held[0].metadata) == (4, "")
    assert member.offsets == {0: [4, 5, 6, 7, 8, 9]}
    assert expired(logs) == []


async def test_a_restart_goes_on_from_the_commit_made_when_letting_go(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """What `released` returns is committed, with its metadata, before the member has left."""
    topic = create_topic(2)
    produce(cluster, topic, {0: 10, 1: 10})
    first = Recorder()
    first.commits_at_release = lambda held: frontier(held, 6, f"from {held.partition}") if held.partition else None
    async with subscribe(cluster, topic, first, group_protocol=protocol) as subscription:
        await until(lambda: sum(map(len, first.records.values())) == 20, subscription)
    assert sorted(first.let_go) == [0, 1]

    second = Recorder()
    async with subscribe(cluster, topic, second, group_protocol=protocol) as subscription:
        await until(lambda: sum(map(len, second.records.values())) == 14, subscription)
        assert second.held[1] == Assignment(partition=1, tenure=second.held[1].tenure, start=6, metadata="from 1")
        assert (second.held[0].start, second.held[0].metadata) == (0, "")
    assert second.offsets == {0: [*range(10)], 1: [6, 7, 8, 9]}


async def test_two_members_share_and_the_second_waits_until_the_first_has_let_go(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """The group goes on only after `released` has returned and its commits are taken; nothing has two owners."""
    topic = create_topic(4)
    produce(cluster, topic, dict.fromkeys(range(4), 10))
    first, second = Recorder(), Recorder()
    first.commits_at_release = lambda held: frontier(held, 8, "handed over")
    async with subscribe(cluster, topic, first, group_protocol=protocol) as one:
        await until(lambda: sum(map(len, first.records.values())) == 40, one)
        first.may_release.clear()
        async with subscribe(cluster, topic, second, group_protocol=protocol) as other:
            await until(first.letting_go.is_set, one, other)
            assert not second.held
            first.may_release.set()
            await until(lambda: len(second.held) == 2 and len(first.held) == 2, one, other)
            assert {*second.held} == {*first.let_go}
            assert {(held.start, held.metadata) for held in second.held.values()} == {(8, "handed over")}
            await until(lambda: sum(map(len, second.records.values())) == 4, one, other)
        await until(lambda: len(first.held) == 4, one)
    assert all(offsets == [8, 9] for offsets in second.offsets.values())


async def test_a_partition_that_comes_back_has_a_new_tenure(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """What was asked for under the earlier tenure cannot touch the later one."""
    topic = create_topic(2)
    first, second = Recorder(), Recorder()
    async with subscribe(cluster, topic, first, group_protocol=protocol) as one:
        await until(lambda: len(first.held) == 2, one)
        before = dict(first.held)
        async with subscribe(cluster, topic, second, group_protocol=protocol) as other:
            await until(lambda: len(second.held) == 1 and len(first.held) == 1, one, other)
        await until(lambda: len(first.held) == 2, one)
        (moved,) = first.let_go
        assert first.held[moved].tenure > max(held.tenure for held in before.values())
        assert await one.commit([frontier(before[moved], 1)]) == frozenset()
        (kept,) = {0, 1} - {moved}
        assert first.held[kept] == before[kept]


async def test_records_that_expired_before_the_start_are_reported_and_passed(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """The log names the offsets that the group will never see, and reading goes on behind them."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 40})
    commit_as_operator(cluster, topic, 0, 10)
    expire(cluster, topic, {0: 30})
    member = Recorder()
    with capture_logs() as logs:
        async with subscribe(cluster, topic, member) as subscription:
            await until(lambda: len(member.records[0]) == 10, subscription)
    assert member.offsets == {0: [*range(30, 40)]}
    assert expired(logs) == [(0, 10, 29)]


async def test_records_that_expire_while_paused_are_reported_and_passed(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """A partition that waited for longer than its topic keeps records goes on, and says what it missed."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 40})
    member = Recorder(reads=False)
    with capture_logs() as logs:
        async with subscribe(cluster, topic, member) as subscription:
            await until(lambda: len(member.held) == 1, subscription)
            expire(cluster, topic, {0: 30})
            subscription.resume(0, member.held[0].tenure)
            await until(lambda: len(member.records[0]) == 10, subscription)
            produce(cluster, topic, {0: 1})
            await until(lambda: len(member.records[0]) == 11, subscription)
    assert member.offsets == {0: [*range(30, 41)]}
    assert expired(logs) == [(0, 0, 29)]


def expired(logs: Sequence[EventDict]) -> list[tuple[int, int, int]]:
    """Give what was reported as missed: partition, first and last offset."""
    found = [line for line in logs if line["event"] == LogEvent.HISTORY_EXPIRED]
    return [(line["partition"], line["first_gone"], line["last_gone"]) for line in found]


async def test_a_frontier_beyond_the_log_starts_at_its_beginning(cluster: Cluster, create_topic: CreateTopic) -> None:
    """A topic that was made anew is read whole; and what was cut is not called again: all outcomes are looked for."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 5})
    commit_as_operator(cluster, topic, 0, 100, "of the old log")
    member = Recorder()
    async with subscribe(cluster, topic, member) as subscription:
        await until(lambda: len(member.records[0]) == 5, subscription)
        assert member.held[0].metadata == ""
    assert member.offsets == {0: [*range(5)]}


async def test_a_record_that_librdkafka_hands_out_again_comes_once(cluster: Cluster, create_topic: CreateTopic) -> None:
    """It does in a rebalance, in a race that no test wins: here it is told to."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 30})
    member = Recorder()
    async with subscribe(cluster, topic, member) as subscription:
        await until(lambda: len(member.records[0]) == 30, subscription)
        subscription._commands.put(lambda: read_again_from(subscription._consumer, TopicPartition(topic, 0, 10)))  # noqa: SLF001 - what the race does
        await subscription.commit([])  # commands are carried out in order
        produce(cluster, topic, {0: 5})
        await until(lambda: member.offsets[0][-1] == 34, subscription)
    assert member.offsets == {0: [*range(35)]}


@pytest.mark.parametrize("next_offset", [None, 40])
async def test_a_log_that_is_cut_while_it_is_read_ends_the_subscription(
    cluster: Cluster, create_topic: CreateTopic, next_offset: int | None
) -> None:
    """What is read then is new at offsets that are known: another tenure has to look at all outcomes."""
    topic = create_topic(1)
    produce(cluster, topic, {0: 5})
    member = Recorder()
    async with subscribe(cluster, topic, member) as subscription:
        await until(lambda: len(member.records[0]) == 5, subscription)
        cut = Reset(next_offset)
        subscription._commands.put(lambda: subscription._restart_where_history_begins(cut))  # type: ignore[arg-type]  # noqa: SLF001 - an unclean election does it
        async with asyncio.timeout(WITHIN):
            assert "was cut" in str(await subscription.failure)


def read_again_from(consumer: Consumer, place: TopicPartition) -> None:
    """Step back behind the subscription's back."""
    consumer.incremental_unassign([place])
    consumer.incremental_assign([place])


class Reset:
    """What librdkafka gives in place of a record when the next offset, if it is known, is not in the log."""

    def __init__(self, offset: int | None) -> None:
        self._offset = offset

    def partition(self) -> int:
        """Give the partition."""
        return 0

    def offset(self) -> int | None:
        """Give the offset that was to be read."""
        return self._offset


async def test_commands_of_the_last_moment_are_answered(cluster: Cluster, create_topic: CreateTopic) -> None:
    """Who asks for a commit while the subscription closes does not wait for ever."""
    topic = create_topic(1)
    member = Recorder()
    late: list[asyncio.Future[frozenset[int]]] = []

    def ask_once_more(held: Assignment) -> None:
        late.append(member.subscription.commit([frontier(held, 1)]))

    member.commits_at_release = ask_once_more
    async with subscribe(cluster, topic, member) as subscription:
        await until(lambda: len(member.held) == 1, subscription)
    async with asyncio.timeout(WITHIN):
        assert await late[0] == frozenset()
        assert await subscription.commit([]) == frozenset()


async def test_a_subscription_that_cannot_go_on_says_so() -> None:
    """The owner of the process learns of it and can end; leaving does not hang."""
    wrong = settings("127.0.0.1:1", "hooks", kafka_client='{"no.such.setting": "1"}')
    async with asyncio.timeout(WITHIN), Subscription(wrong, Recorder()) as subscription:
        assert "no.such.setting" in str(await subscription.failure)


async def test_what_a_member_logs_has_the_fields_that_are_bound(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """Its group and process, also where the thread of the subscription called: else nobody knows whose line it is."""
    create_topic(1)
    bound: list[dict[str, Any]] = []

    class Curious(Recorder):
        """A member that looks at what a line of its own would have."""

        def assigned(self, assignments: Sequence[Assignment]) -> None:
            """Look."""
            bound.append(get_contextvars())
            super().assigned(assignments)

    with bound_contextvars(group="sync"):
        member = Curious()
        async with subscribe(cluster, topic_name, member) as subscription:
            await until(lambda: bool(bound), subscription)
    assert bound[0] == {"group": "sync"}

"""The publisher on a real Kafka: what is acknowledged is in the topic, and nothing waits without a bound."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from broker.embedded import EmbeddedKafka
from broker.partitioner import partition_of
from broker.publisher import Bounds, Position, Publisher
from schemas.errors import NotAcknowledged, QueueFull, UnpublishableRecord
from schemas.record import Record
from schemas.settings import IngressSettings
from tests.broker.conftest import CreateTopic, create
from tests.conftest import Cluster

NOWHERE = "127.0.0.1:1"
KEYS = [b"21", b"foobar", b"a-little-bit-long-string", b"acme/conn-1", b"acme/conn-2", "zoë/%C3%A9".encode(), b"/"]


def settings(servers: str, **given: object) -> IngressSettings:
    """Give settings that reach a cluster."""
    return IngressSettings(
        **{  # type: ignore[arg-type] # validated by pydantic
            "kafka_bootstrap_servers": servers,
            "tenants_file": Path("tenants.toml"),
            "_env_file": None,
            **given,
        }
    )


def publisher(
    servers: str,
    *,
    messages: int = 1000,
    queue_bytes: int = 50_000_000,
    deadline_seconds: float = 20,
    stop_seconds: float = 20,
    **given: object,
) -> Publisher:
    """Give a publisher with patience, unless said otherwise."""
    bounds = Bounds(messages=messages, bytes=queue_bytes, deadline_seconds=deadline_seconds, stop_seconds=stop_seconds)
    return Publisher(settings(servers, **given), bounds)


def record(key: bytes = b"acme/conn", value: bytes = b"{}") -> Record:
    """Give a record with headers."""
    return Record(key=key, value=value, headers=(("ce_id", b"1"), ("ce_id", b"2"), ("ce_time", b"")))


@contextmanager
def reading(servers: str) -> Iterator[Consumer]:
    """Open a plain consumer."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    with closing(consumer):
        yield consumer


def read_at(servers: str, topic: str, place: Position) -> Message:
    """Read the record at a position."""
    with reading(servers) as consumer:
        consumer.assign([TopicPartition(topic, place.partition, place.offset)])
        message = consumer.poll(20)
    assert message is not None
    assert message.error() is None
    return message


async def test_an_acknowledged_record_is_in_the_topic_as_it_was_given(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """Key, value and headers, repeated and empty ones included, lie at the position that was acknowledged."""
    topic = create_topic(3)
    key = b"acme/\xc3\xa9"
    given = record(key, b'{"a" : "\x00\xff"}')
    async with publisher(cluster.bootstrap_servers) as publishing:
        await publishing.publish(topic, record(key))
        place = await publishing.publish(topic, given)
    assert place.offset == 1
    found = read_at(cluster.bootstrap_servers, topic, place)
    assert (found.key(), found.value(), tuple(found.headers() or ())) == (given.key, given.value, given.headers)


async def test_a_key_goes_where_java_would_put_it(cluster: Cluster, create_topic: CreateTopic) -> None:
    """Any client of any language finds the records of a key in one partition."""
    topic = create_topic(7)
    async with publisher(cluster.bootstrap_servers) as publishing:
        places = await asyncio.gather(*(publishing.publish(topic, record(key)) for key in KEYS))
    assert [place.partition for place in places] == [partition_of(key, 7) for key in KEYS]
    assert len({place.partition for place in places}) > 1


async def test_a_partition_that_is_named_wins_over_the_key(cluster: Cluster, create_topic: CreateTopic) -> None:
    """Group topics go by the source's partition, whatever the key."""
    topic = create_topic(3)
    async with publisher(cluster.bootstrap_servers) as publishing:
        places = [await publishing.publish(topic, record(), partition=number) for number in (2, 0, 1)]
    assert [place.partition for place in places] == [2, 0, 1]


async def test_records_of_a_partition_lie_in_the_order_of_publishing(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """Order holds without awaiting each acknowledgement."""
    topic = create_topic(1)
    async with publisher(cluster.bootstrap_servers, messages=5000) as publishing:
        places = await asyncio.gather(*(publishing.publish(topic, record()) for _ in range(2000)))
    assert [place.offset for place in places] == [*range(2000)]


async def test_leaving_waits_for_what_is_not_acknowledged(cluster: Cluster, create_topic: CreateTopic) -> None:
    """A stop loses nothing that was taken."""
    topic = create_topic(1)
    async with publisher(cluster.bootstrap_servers) as publishing:
        waiting = [publishing.publish(topic, record()) for _ in range(500)]
    assert [acknowledged.result().offset for acknowledged in waiting] == [*range(500)]
    assert publishing.waiting == 0


async def test_leaving_gives_up_in_time_and_says_so() -> None:
    """Without a broker a stop takes as long as its bound, and nobody waits for an answer for ever."""
    async with asyncio.timeout(5):
        async with publisher(NOWHERE, stop_seconds=0.1) as publishing:
            waiting = [publishing.publish("any", record()) for _ in range(500)]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in ended} == {NotAcknowledged}


async def test_a_full_queue_is_told_at_once() -> None:
    """What Kafka does not take is not piled up."""
    async with publisher(NOWHERE, messages=10, stop_seconds=0) as publishing:
        waiting = [publishing.publish("any", record()) for _ in range(10)]
        with pytest.raises(QueueFull):
            publishing.publish("any", record())
        assert publishing.waiting >= 10
    assert all(acknowledged.exception() for acknowledged in waiting)


async def test_a_topic_that_does_not_exist_is_not_acknowledged_within_the_deadline(
    cluster: Cluster, topic_name: str
) -> None:
    """The deadline holds for every cause."""
    async with publisher(cluster.bootstrap_servers, deadline_seconds=1) as publishing, asyncio.timeout(5):
        with pytest.raises(NotAcknowledged):
            await publishing.publish(topic_name, record())


async def test_a_queue_that_holds_its_bytes_is_told_too() -> None:
    """Memory is bounded whatever the size of records; those that were taken get their answer all the same."""
    async with publisher(NOWHERE, queue_bytes=200_000, stop_seconds=0) as publishing:
        waiting = [publishing.publish("any", record(value=bytes(60_000))) for _ in range(10)]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in ended} == {QueueFull, NotAcknowledged}
    assert publishing.waiting == 0


async def test_a_record_above_our_own_bound_is_refused_without_an_attempt(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """No topic of ours would take it; the records that were published with it are not held up."""
    topic = create_topic(1)
    async with publisher(cluster.bootstrap_servers, max_body_bytes=1024) as publishing:
        values = (b"{}", bytes(200_000), b"{}")
        ended = await asyncio.gather(
            *(publishing.publish(topic, record(value=value)) for value in values), return_exceptions=True
        )
        assert publishing.waiting == 0
    assert [type(answer) for answer in ended] == [Position, UnpublishableRecord, Position]
    assert "too large" in str(ended[1])


async def test_a_record_above_the_topics_bound_is_unpublishable(cluster: Cluster, create_topic: CreateTopic) -> None:
    """Kafka's own refusal is told from a delay; the records beside it are taken."""
    topic = create_topic(2, max_message_bytes="2000")
    async with publisher(cluster.bootstrap_servers) as publishing:
        fits = publishing.publish(topic, record(), partition=0)
        with pytest.raises(UnpublishableRecord, match="too large"):
            await publishing.publish(topic, record(value=bytes(10_000)), partition=1)
        assert (await fits).offset == 0
        assert not publishing.failure.done()


async def test_a_caller_that_goes_away_disturbs_nobody(cluster: Cluster, create_topic: CreateTopic) -> None:
    """A cancelled wait does not break the report of its record, nor those of others."""
    topic = create_topic(1)
    async with publisher(cluster.bootstrap_servers) as publishing:
        left = publishing.publish(topic, record())
        left.cancel()
        assert (await publishing.publish(topic, record())).offset == 1


async def test_nothing_stands_in_the_way_of_a_topic_with_leaders(cluster: Cluster, create_topic: CreateTopic) -> None:
    """The probe is quiet when all is well."""
    topic = create_topic(3)
    async with publisher(cluster.bootstrap_servers) as publishing:
        assert await publishing.faults(topic, 20) == ()


async def test_a_missing_topic_and_a_missing_broker_are_named(cluster: Cluster, topic_name: str) -> None:
    """The probe says what is wrong, within its time."""
    async with publisher(cluster.bootstrap_servers) as publishing:
        (missing,) = await publishing.faults(topic_name, 20)
    async with publisher(NOWHERE) as publishing, asyncio.timeout(5):
        (away,) = await publishing.faults(topic_name, 0.2)
    assert missing.startswith(f"topic {topic_name}: ")
    assert away.startswith("no broker answers: ")


@asynccontextmanager
async def frozen(kafka: EmbeddedKafka) -> AsyncIterator[None]:
    """Freeze a Kafka: connections stay, answers do not come."""
    kafka.pause_node(0)
    try:
        yield
    finally:
        kafka.resume_node(0)


async def test_a_kafka_that_stops_answering_is_told_within_the_deadline_and_goes_on_later() -> None:
    """Every record gets its answer while Kafka is silent, and the same publisher goes on afterwards."""
    async with EmbeddedKafka() as kafka, publisher(kafka.bootstrap_servers, deadline_seconds=1) as publishing:
        topic = "hooks"
        create(kafka.bootstrap_servers, topic, 1)
        await publishing.publish(topic, record())
        async with frozen(kafka), asyncio.timeout(8):
            waiting = [publishing.publish(topic, record()) for _ in range(100)]
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(answer) for answer in ended} == {NotAcknowledged}
            assert len(await publishing.faults(topic, 0.2)) == 1
        async with asyncio.timeout(30):
            assert await published_again(publishing, topic) >= 1
        assert not publishing.failure.done()


async def published_again(publishing: Publisher, topic: str) -> int:
    """Publish until a record is acknowledged."""
    while True:
        try:
            return (await publishing.publish(topic, record())).offset
        except NotAcknowledged:
            await asyncio.sleep(0.1)

"""A partition's leader dies or stands still, and the partition gets another: who turned to the first has to notice.

librdkafka learns by itself of new leaders of the partitions that it reads or writes. It does not for others, and from a
broker that keeps its connections open and answers nothing it waits for its time-outs.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from broker.embedded import EmbeddedKafka
from broker.history import History
from broker.log_reader import LogReader
from broker.publisher import Bounds, Publisher
from schemas.errors import Retryable
from schemas.record import Record
from schemas.settings import PipelineSettings

NODES = 3
ELECTED_WITHIN = 20.0
NOTICED_WITHIN = 25.0
"""What a client of ours waits for one answer, and the time for another leader, with room to spare; librdkafka's own
time-outs are 30 and 60 seconds."""

REPUBLISHED_WITHIN = 50.0
"""A request that is under way has to run out, then the next one: longer where the machine is busy, and still less than
librdkafka's own 60 seconds."""


@pytest.fixture(scope="module")
def trio(embeddable: None) -> Iterator[EmbeddedKafka]:
    """Run three nodes of which any two suffice."""
    assert embeddable is None
    with EmbeddedKafka(nodes=NODES) as kafka:
        yield kafka


def settings(kafka: EmbeddedKafka) -> PipelineSettings:
    """Give settings that reach a cluster."""
    return PipelineSettings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, tenants_file=Path("tenants.toml"), _env_file=None
    )


async def leader_of_new_topic(kafka: EmbeddedKafka, topic: str) -> int:
    """Create a topic with one partition and give the number of the node that leads it, once all nodes know."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    client.create_topics([NewTopic(topic, 1, NODES)])[topic].result(20)
    async with asyncio.timeout(ELECTED_WITHIN):
        while True:
            partition = client.list_topics(topic, 20).topics[topic].partitions.get(0)
            if partition is not None and len(partition.isrs) == NODES and partition.leader > 0:
                return partition.leader - 1
            await asyncio.sleep(0.05)


async def test_the_log_reader_turns_to_a_new_leader_while_the_old_one_stays_dead(
    trio: EmbeddedKafka, topic_name: str
) -> None:
    """A takeover asks for the history of partitions that its member never read."""
    leader = await leader_of_new_topic(trio, topic_name)
    async with LogReader(settings(trio)) as logs:
        assert await answer_at_last(logs, topic_name) == History(low=0, high=0)
        await trio.stop_node(leader, graceful=False)
        try:
            async with asyncio.timeout(ELECTED_WITHIN):
                assert await answer_at_last(logs, topic_name) == History(low=0, high=0)
        finally:
            await trio.start_node(leader)


async def answer_at_last(logs: LogReader, topic: str) -> History:
    """Ask again until there is an answer, as takeovers do."""
    while True:
        with suppress(Retryable):
            return await logs.history(topic, 0)


async def test_the_publisher_turns_to_a_new_leader_while_the_old_one_stands_still(
    trio: EmbeddedKafka, topic_name: str
) -> None:
    """An outcome that waits for a frozen broker holds its partition's frontier."""
    leader = await leader_of_new_topic(trio, topic_name)
    bounds = Bounds(messages=10, bytes=10_000, deadline_seconds=0, stop_seconds=5)
    record = Record(key=b"", value=b"outcome", headers=())
    async with Publisher(settings(trio), bounds) as publisher:
        await publisher.publish(topic_name, record)
        trio.pause_node(leader)
        try:
            async with asyncio.timeout(REPUBLISHED_WITHIN):
                assert (await publisher.publish(topic_name, record)).offset == 1
        finally:
            trio.resume_node(leader)

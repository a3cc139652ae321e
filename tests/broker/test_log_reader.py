"""The log reader on a real Kafka: every record of a stretch, whatever became of the reading before."""

import asyncio
import threading
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message

from broker import log_reader
from broker.client import read_batch
from broker.log_reader import LogReader
from schemas.settings import ConsumerSettings
from tests.broker.conftest import CreateTopic
from tests.broker.test_subscription import produce
from tests.conftest import Cluster

RECORDS = 3_000


def settings(cluster: Cluster) -> ConsumerSettings:
    """Give settings that reach the cluster."""
    return ConsumerSettings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        tenants_file=Path("tenants.toml"),
        _env_file=None,
    )


async def read(logs: LogReader, topic: str, partition: int, stretch: range) -> list[int]:
    """Give the offsets read."""
    return [record.offset async for batch in logs.read(topic, partition, stretch) for record in batch]


async def test_a_stretch_is_read_whole_and_nothing_beyond_it(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """From its first offset to its last, in order, and as often as asked."""
    create_topic(2)
    produce(cluster, topic_name, {0: 50, 1: 20})
    async with LogReader(settings(cluster)) as logs:
        assert await read(logs, topic_name, 0, range(7, 43)) == [*range(7, 43)]
        assert await read(logs, topic_name, 1, range(20)) == [*range(20)]
        assert await read(logs, topic_name, 0, range(49, 50)) == [49]
        assert await read(logs, topic_name, 0, range(50, 50)) == []
        history = await logs.history(topic_name, 1)
        assert (history.low, history.high) == (0, 20)


async def test_a_cancelled_reading_takes_nothing_from_the_next(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread, on between two calls, once took a thousand outcomes that the next takeover then never saw."""
    create_topic(2)
    produce(cluster, topic_name, {0: RECORDS, 1: RECORDS})
    began, may_go_on = threading.Event(), threading.Event()

    def slow_batch(client: Consumer, most: int, wait_seconds: float) -> list[Message]:
        began.set()
        assert may_go_on.wait(timeout=30)
        return read_batch(client, most, wait_seconds)

    async with LogReader(settings(cluster)) as logs:
        monkeypatch.setattr(log_reader, "read_batch", slow_batch)
        cancelled = asyncio.create_task(read(logs, topic_name, 0, range(RECORDS)))
        assert await asyncio.to_thread(began.wait, 30)
        cancelled.cancel()
        following = asyncio.create_task(read(logs, topic_name, 1, range(RECORDS)))
        asyncio.get_running_loop().call_later(0.3, may_go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await following == [*range(RECORDS)]

"""The log reader: read a stretch of one partition, outside any group."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from broker.client import consumer, existing, kafka_error, read_batch, received
from broker.history import History
from schemas.errors import Retryable
from schemas.record import ReceivedRecord
from schemas.settings import PipelineSettings

_BATCH = 2_000
_WAIT_SECONDS = 0.1
_FETCH_WAIT_MILLISECONDS = 10
"""How long a broker may hold a fetch that finds nothing new: the next stretch's fetch has to wait behind it."""
_STALLED_SECONDS = 30.0
_ANSWER_SECONDS = 3.0


class LogReader:
    """Read stretches of logs, one at a time. Use as an async context manager."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        # A consumer needs a group's name even if it never joins one.
        own = {"group.id": "fuse-sync-log-reader", "fetch.wait.max.ms": _FETCH_WAIT_MILLISECONDS}
        self._consumer: Consumer = consumer(self._settings, own)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._consumer.close)

    async def partitions(self, topic: str) -> int:
        """Count the partitions of a topic; one that is unknown has none. Raises Retryable if no broker answers."""
        try:
            known = await asyncio.to_thread(self._consumer.list_topics, topic, _ANSWER_SECONDS)
        except KafkaException as error:
            raise Retryable(f"{topic}: {kafka_error(error).str()}") from None
        return len(known.topics[topic].partitions)

    async def history(self, topic: str, partition: int) -> History:
        """Ask which records of a partition exist. Raises Retryable if no broker answers in time."""
        try:
            return await asyncio.to_thread(existing, self._consumer, TopicPartition(topic, partition))
        except KafkaException as error:
            raise Retryable(f"{topic}[{partition}]: {kafka_error(error).str()}") from None

    async def read(self, topic: str, partition: int, stretch: range) -> AsyncIterator[Sequence[ReceivedRecord]]:
        """Give the records at the offsets of `stretch`, in batches and in order.

        Raises Retryable if reading fails, or stalls for half a minute.
        """
        async with self._turn:
            place = TopicPartition(topic, partition, stretch.start)
            self._consumer.assign([place])
            try:
                position = stretch.start
                while position < stretch.stop:
                    records = await self._batch(topic, partition)
                    position = records[-1].offset + 1
                    yield [record for record in records if record.offset < stretch.stop]
            finally:
                self._consumer.unassign()

    async def _batch(self, topic: str, partition: int) -> Sequence[ReceivedRecord]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STALLED_SECONDS
        while loop.time() < deadline:
            messages = await _to_its_end(asyncio.to_thread(read_batch, self._consumer, _BATCH, _WAIT_SECONDS))
            for error in filter(None, (message.error() for message in messages)):
                raise Retryable(f"{topic}[{partition}]: {error.str()}")
            if messages:
                return [received(message) for message in messages]
        raise Retryable(f"{topic}[{partition}]: nothing could be read for {_STALLED_SECONDS} s")


async def _to_its_end(reading: Coroutine[Any, Any, list[Message]]) -> list[Message]:
    """Wait for a thread even when cancelled: it would else read on, and take records of whatever is read next."""
    task = asyncio.ensure_future(reading)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise

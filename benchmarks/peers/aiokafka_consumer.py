"""A consumer as people write it with aiokafka: a task per partition calls for one message after the other, in order.

Offsets are committed after what they stand for, for ten messages at a time: that is what a crash repeats, at most, of
each partition. A call that fails ends the program.
"""

import asyncio
import os
from collections.abc import Iterable

import aiohttp
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from benchmarks.peers.fuse import call, session

_AT_ONCE = 10


class _TaskPerPartition(ConsumerRebalanceListener):
    def __init__(self, consumer: AIOKafkaConsumer, client: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        self._consumer = consumer
        self._client = client
        self._tasks = tasks
        self._working: list[asyncio.Task[None]] = []

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._working = [self._tasks.create_task(self._work(place)) for place in assigned]

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of them
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _work(self, place: TopicPartition) -> None:
        while True:
            found = await self._consumer.getmany(place, timeout_ms=1_000, max_records=_AT_ONCE)
            messages = found.get(place, [])
            for message in messages:
                await call(self._client, message.value)
            if messages:
                await self._consumer.commit({place: messages[-1].offset + 1})


async def main() -> None:
    """Consume until killed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["KAFKA"],
        group_id="aiokafka",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with session() as client, asyncio.TaskGroup() as tasks:
        consumer.subscribe([os.environ["TOPIC"]], listener=_TaskPerPartition(consumer, client, tasks))
        await consumer.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())

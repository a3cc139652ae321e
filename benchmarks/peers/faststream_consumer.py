"""A consumer as people write it with FastStream: a handler that calls for one message, and a worker per partition.

Its default acknowledges a message before it is handled; here, as ours does, only afterwards. Nothing is logged.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from faststream import AckPolicy, ContextRepo, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.peers.fuse import call, session

_PARTITIONS = 12

broker = KafkaBroker(os.environ["KAFKA"], log_level=logging.DEBUG)


@asynccontextmanager
async def _lifespan(context: ContextRepo) -> AsyncIterator[None]:
    async with session() as client:
        context.set_global("client", client)
        yield


@broker.subscriber(
    os.environ["TOPIC"],
    group_id="faststream",
    auto_offset_reset="earliest",
    max_workers=_PARTITIONS,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def sync(message: KafkaMessage) -> None:
    """Handle one event."""
    await call(app.context.get("client"), message.body)


app = FastStream(broker, lifespan=_lifespan)

if __name__ == "__main__":
    uvloop.run(app.run())

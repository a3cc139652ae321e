"""The demo's Kafka: a given cluster, or an embedded one."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.embedded import EmbeddedKafka
from schemas.settings import ENVIRON, variable

_GIVEN = variable("kafka_bootstrap_servers")
_CLIENT = variable("kafka_client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """A running Kafka, a topic on it that nobody else has, and the variables that its clients need."""

    bootstrap_servers: str
    topic: str
    origin: str
    client_settings: frozenset[str]


def intention() -> str:
    """Say which Kafka the demo is about to use."""
    if given := ENVIRON.get(_GIVEN):
        return f"Using the Kafka at {given}."
    return "Starting Kafka; the first time it is fetched, some 50 MB."


@asynccontextmanager
async def open_kafka() -> AsyncIterator[Kafka]:
    """Use the cluster that the environment names, else start one. Raises what EmbeddedKafka raises."""
    if given := ENVIRON.get(_GIVEN):
        topic = f"fuse-sync-demo.{uuid.uuid4().hex[:8]}"
        origin = f"your Kafka at {given}; the topics {topic}* stay there, remove them when you like"
        yield Kafka(bootstrap_servers=given, topic=topic, origin=origin, client_settings=frozenset({_CLIENT}))
        return
    async with EmbeddedKafka() as kafka:
        servers = kafka.bootstrap_servers
        origin = f"a real Apache Kafka, embedded, at {servers}"
        yield Kafka(bootstrap_servers=servers, topic="fuse.webhooks", origin=origin, client_settings=frozenset())

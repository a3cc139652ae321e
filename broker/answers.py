"""Answers to requests of Kafka's admin client: what came, what was refused, and which refusals may pass."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigEntry

from broker.client import kafka_error

AGAIN = frozenset(
    {
        KafkaError.TOPIC_ALREADY_EXISTS,  # another process was faster; the same holds for the next one
        KafkaError.INVALID_PARTITIONS,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # created, and not known everywhere yet
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.REASSIGNMENT_IN_PROGRESS,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError._TIMED_OUT,  # noqa: SLF001 - confluent-kafka's public name for librdkafka's local error
        KafkaError._TRANSPORT,  # noqa: SLF001 - as above
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as above
    }
)
"""Refusals after which looking again tells more."""

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


async def answers(
    futures: Mapping[_Key, Future[_Answer]],
) -> tuple[dict[_Key, _Answer], dict[_Key, KafkaError]]:
    """Wait for the answers, each bounded by its request's time-out, and part results from errors."""
    bridged = {key: asyncio.wrap_future(future) for key, future in futures.items()}
    await asyncio.wait(bridged.values())
    results: dict[_Key, _Answer] = {}
    errors: dict[_Key, KafkaError] = {}
    for key, future in bridged.items():
        try:
            results[key] = future.result()
        except KafkaException as error:
            errors[key] = kafka_error(error)
    return results, errors


def config_values(entries: Mapping[str, ConfigEntry]) -> Mapping[str, str]:
    """Give what a configuration says, without what the cluster does not tell."""
    values: dict[str, str | None] = {name: entry.value for name, entry in entries.items()}
    return {name: value for name, value in values.items() if value is not None}

"""Configuration of Kafka clients: what the promises stand on, and what the operator adds."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from broker.history import History
from schemas.errors import ConfigurationError
from schemas.record import Headers, ReceivedRecord
from schemas.settings import PipelineSettings, variable
from schemas.topics import max_group_record_bytes

Config = dict[str, Any]

_RESERVED = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "isolation.level",
        "message.timeout.ms",
        "request.required.acks",
        "partition.assignment.strategy",
        "partitioner",
        "session.timeout.ms",
        "transactional.id",
    }
)
"""What no operator may override: with another value a promise would be broken, or a setting of ours ignored."""

_LOG_CRITICAL = 2
"""A level of syslog. What is less comes through `error_cb` too, and librdkafka repeats it at every reconnect."""
_RECONNECT_MILLISECONDS = 1_000
"""The longest wait before a broker is tried again, so that work goes on soon after it is back."""
_ANSWER_MILLISECONDS = 15_000
"""How long a broker may take for a request: one that stands still keeps its connections, and only this tells. A slow
line has to carry `_FETCH_BYTES` in it."""
_FETCH_BYTES = 16 * 1024 * 1024
_FETCH_PARTITION_BYTES = 512 * 1024
"""For one partition in one answer; a record that is larger comes all the same. Every pause throws away what was fetched
and not yet read, so more would be fetched twice."""
_PREFETCH_KILOBYTES = 8 * 1024
"""librdkafka's own buffer of records not handed over yet, per consumer. In memory they take almost three times that."""
_PREFETCH_FULL_MILLISECONDS = 50
"""How long fetching rests when that buffer is full. By default it is a second, in which a fast reader runs dry."""
_LEADER_ANSWERS_SECONDS = 3.0
_UNREADABLE_HEADER = ("fuse_unreadable_headers", None)

_log = logging.getLogger("librdkafka")


def producer(settings: PipelineSettings, own: Mapping[str, object]) -> Producer:
    """Open an idempotent producer that partitions as Java's default partitioner does."""
    ours = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "request.timeout.ms": _ANSWER_MILLISECONDS,
        "message.max.bytes": max_group_record_bytes(settings.max_body_bytes),
        **own,
    }
    return Producer(_config(settings, ours), logger=_log)


def consumer(settings: PipelineSettings, own: Mapping[str, object]) -> Consumer:
    """Open a consumer that commits nothing and resets no offset by itself."""
    record_bytes = max_group_record_bytes(settings.max_body_bytes)
    ours = {
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.max.bytes": max(_FETCH_BYTES, record_bytes),
        "fetch.message.max.bytes": _FETCH_PARTITION_BYTES,
        "receive.message.max.bytes": max(_FETCH_BYTES, record_bytes) + 1024 * 1024,
        "queued.max.messages.kbytes": _PREFETCH_KILOBYTES,
        "fetch.queue.backoff.ms": _PREFETCH_FULL_MILLISECONDS,
        **own,
    }
    return Consumer(_config(settings, ours), logger=_log)


def admin(settings: PipelineSettings, own: Mapping[str, Any]) -> AdminClient:
    """Open an admin client."""
    return AdminClient(_config(settings, own), logger=_log)


def _config(settings: PipelineSettings, ours: Mapping[str, Any]) -> Config:
    """Put what the operator gives above what is ours, but for what the promises stand on."""
    given = {name: value.get_secret_value() for name, value in settings.kafka_client.items()}
    faults = [
        f"{variable('kafka_client')}: {name} is set by fuse-sync itself; remove it."
        for name in sorted(_RESERVED & {*given})
    ]
    if faults:
        raise ConfigurationError(faults)
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": "fuse-sync",
        "log_level": _LOG_CRITICAL,
        "reconnect.backoff.max.ms": _RECONNECT_MILLISECONDS,
        "socket.timeout.ms": _ANSWER_MILLISECONDS,
        **ours,
        **given,
    }


def kafka_error(exception: KafkaException) -> KafkaError:
    """Get the error that a KafkaException carries; its constructor's types say it might be a text."""
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))  # noqa: SLF001 - public constant


def read_batch(client: Consumer, most: int, wait_seconds: float) -> list[Message]:
    """Wait for one record and take what else is there: `consume` alone would wait to fill its batch."""
    first = client.poll(wait_seconds)
    if first is None:
        return []
    return [first, *client.consume(most - 1, 0)]


def existing(client: Consumer, place: TopicPartition) -> History:
    """Ask which records of a partition exist. Raises KafkaException if no leader answers within a few seconds.

    Not for callbacks of the same client: see `Subscription`.
    """
    try:
        return _ask_leader(client, place)
    except KafkaException:
        # Of a partition that is not being read, librdkafka goes on asking the leader it knows, dead or not.
        client.list_topics(place.topic, _LEADER_ANSWERS_SECONDS)
        raise


def _ask_leader(client: Consumer, place: TopicPartition) -> History:
    answer = client.get_watermark_offsets(place, _LEADER_ANSWERS_SECONDS)
    if answer is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - public name of a local error
    low, high = answer
    return History(low=low, high=high)


def received(message: Message) -> ReceivedRecord:
    """Copy a message into a record of ours."""
    _, milliseconds = message.timestamp()
    return ReceivedRecord(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp=milliseconds / 1000,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=headers_of(message),
    )


def headers_of(message: Message) -> Headers:
    """Get the headers; where a name is not UTF-8, which confluent-kafka cannot tell, one that stands twice instead.

    So nothing can be read from such a record, and nobody takes it for one without headers.
    """
    try:
        return cast("Headers", message.headers() or ())  # the type is that of what may be produced
    except (SystemError, UnicodeDecodeError):
        return (_UNREADABLE_HEADER, _UNREADABLE_HEADER)


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value

"""The committed offsets of a group, asked for and set from outside: by commands, not by members.

Nothing here is async: a command has nothing else to do meanwhile.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from broker.client import admin, kafka_error
from broker.scan import open_scanner
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings
from schemas.topics import consumer_group_id

_ANSWER_SECONDS = 15.0
_GRACE_SECONDS = 5.0
"""librdkafka tells a request's time-out itself; this bounds the wait for it."""
_IN_USE = frozenset(
    {
        KafkaError.NON_EMPTY_GROUP,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
    }
)
"""Refusals that say that somebody is in the group: only its members may commit then."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedOffset:
    """What a group has committed for a partition: the frontier, and the metadata beside it."""

    offset: int
    metadata: str


def committed_offsets(settings: ConsumerSettings, partitions: Mapping[int, object]) -> Mapping[int, CommittedOffset]:
    """Ask what the group has committed, of those partitions of the source for which it has. Raises Retryable."""
    group = consumer_group_id(settings.topic, settings.group)
    places = [TopicPartition(settings.topic, number) for number in partitions]
    client = admin(settings, {})  # has to live until the answer is there
    asked = client.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, places)], request_timeout=_ANSWER_SECONDS
    )
    answer = _answer(settings, asked[group])
    return {
        place.partition: CommittedOffset(offset=place.offset, metadata=place.metadata or "")
        for place in answer.topic_partitions
        if place.offset >= 0  # what was never committed has a negative one
    }


def start_at(settings: ConsumerSettings, milliseconds: int) -> Mapping[int, int]:
    """Let a new group begin with what was appended at or after a time; give the offset for each partition.

    A partition with nothing since then begins at its end. To be called before any member joins. Raises
    ConfigurationError if the group has committed offsets or members, and Retryable if Kafka does not answer.
    """
    with open_scanner(settings) as scanner:
        histories = scanner.histories(settings.topic)
        if committed_offsets(settings, histories):
            raise ConfigurationError([_not_new(settings.group)])
        offsets = scanner.offsets_at(settings.topic, milliseconds, histories)
    _commit(settings, offsets)
    return offsets


def _not_new(group: str) -> str:
    return (
        f"--from: group {group} has committed offsets already, so it goes on from there; leave --from out, or give a "
        "new group's name with --group."
    )


def _commit(settings: ConsumerSettings, offsets: Mapping[int, int]) -> None:
    group = consumer_group_id(settings.topic, settings.group)
    places = [TopicPartition(settings.topic, number, offset) for number, offset in offsets.items()]
    client = admin(settings, {})  # as above
    asked = client.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, places)], request_timeout=_ANSWER_SECONDS
    )
    for place in _answer(settings, asked[group]).topic_partitions:
        if place.error is not None:
            raise _refusal(settings, place.error)


def _answer(settings: ConsumerSettings, asked: Future[_Answer]) -> _Answer:
    try:
        return asked.result(_ANSWER_SECONDS + _GRACE_SECONDS)
    except KafkaException as error:
        raise _refusal(settings, kafka_error(error)) from None
    except TimeoutError:
        raise Retryable(f"group {settings.group}: Kafka did not answer in time") from None


def _refusal(settings: ConsumerSettings, error: KafkaError) -> Exception:
    if error.code() in _IN_USE:
        return ConfigurationError([f"group {settings.group} has members already: stop them, or name a new group."])
    return Retryable(f"group {settings.group}: {error.str()}")

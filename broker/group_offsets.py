"""The committed offsets of a group, asked for and set from outside: by commands, not by members.

Nothing here is async: a command has nothing else to do meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.client import consumer, kafka_error
from broker.coordinator import while_coordinator_moves
from broker.scan import open_scanner
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings
from schemas.topics import consumer_group_id

_ANSWER_SECONDS = 15.0
_IN_USE = frozenset(
    {
        KafkaError.NON_EMPTY_GROUP,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
    }
)
"""Refusals that say that somebody is in the group: only its members may commit then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedOffset:
    """What a group has committed for a partition: the frontier, and the metadata beside it."""

    offset: int
    metadata: str


def committed_offsets(settings: ConsumerSettings, partitions: Iterable[int]) -> Mapping[int, CommittedOffset]:
    """Ask what the group has committed, of those partitions of the source for which it has. Raises Retryable."""
    asked = [TopicPartition(settings.topic, number) for number in partitions]
    with _client(settings) as client:
        places = while_coordinator_moves(_ANSWER_SECONDS)(_committed, client, asked)
    return {
        place.partition: CommittedOffset(offset=place.offset, metadata=place.metadata or "")
        for place in places
        if place.offset >= 0  # what was never committed has a negative one
    }


def start_at(
    settings: ConsumerSettings, milliseconds: int, metadata: Callable[[int], str] = lambda _: ""
) -> Mapping[int, int]:
    """Let a new group begin with what was appended at or after a time; give the offset for each partition.

    `metadata` writes for each offset what is committed beside it. A partition with nothing since then begins at its
    end. A group that has begun already, or that somebody else begins just now, goes on from where it is, and none is
    given: else a restart with the same command would handle events again, or lose some. Raises Retryable if Kafka does
    not answer, and ConfigurationError if the group has members and none of them has committed anything.
    """
    with open_scanner(settings) as scanner:
        histories = scanner.histories(settings.topic)
        if committed_offsets(settings, histories):
            return {}
        offsets = scanner.offsets_at(settings.topic, milliseconds, histories)
    try:
        _commit(settings, {number: (offset, metadata(offset)) for number, offset in offsets.items()})
    except ConfigurationError:
        if committed_offsets(settings, histories):
            return {}
        raise
    return offsets


def _commit(settings: ConsumerSettings, places: Mapping[int, tuple[int, str]]) -> None:
    wanted = [TopicPartition(settings.topic, number, *place) for number, place in places.items()]
    with _client(settings) as client:
        while_coordinator_moves(_ANSWER_SECONDS)(_commit_all, client, wanted)


def _committed(client: Consumer, asked: list[TopicPartition]) -> Sequence[TopicPartition]:
    return _checked(client.committed(asked, _ANSWER_SECONDS))


def _commit_all(client: Consumer, wanted: list[TopicPartition]) -> None:
    _checked(client.commit(offsets=wanted, asynchronous=False) or ())


def _checked(places: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    for error in filter(None, (place.error for place in places)):
        raise KafkaException(error)
    return places


@contextmanager
def _client(settings: ConsumerSettings) -> Iterator[Consumer]:
    """Open a consumer of the group that never joins it.

    An admin client could ask the same, but tears the process down now and then when it is closed right after an answer
    (librdkafka 2.16, "Purging unserved events from background queue").
    """
    client = consumer(settings, {"group.id": consumer_group_id(settings.topic, settings.group)})
    try:
        yield client
    except KafkaException as error:
        raise _refusal(settings, kafka_error(error)) from None
    finally:
        client.close()


def _refusal(settings: ConsumerSettings, error: KafkaError) -> Exception:
    if error.code() in _IN_USE:
        return ConfigurationError([f"group {settings.group} has members already: stop them, or name a new group."])
    return Retryable(f"group {settings.group}: {error.str()}")

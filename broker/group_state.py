"""The state of a group as Kafka knows it: what is committed with its metadata, and who owns which partition.

Two requests, answered one after the other: between them a partition may change hands. Nothing here is async: a
command has nothing else to do meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker.client import admin, consumer, kafka_error
from broker.coordinator import while_coordinator_moves
from schemas.errors import Retryable
from schemas.settings import ConsumerSettings
from schemas.topics import consumer_group_id

_ANSWER_SECONDS = 15.0
_GRACE_SECONDS = 5.0
"""librdkafka tells a request's time-out itself; this bounds the wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The member that a partition is assigned to, as Kafka names it."""

    client_id: str
    host: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """A partition of the source: the committed offset, None if there is none, its metadata, and the owner if any."""

    committed: int | None
    metadata: str
    owner: Owner | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """A group: its state in Kafka's words (`stable`, `empty`, `dead`, ...), and every partition of the source."""

    state: str
    partitions: Mapping[int, PartitionState]


def group_state(settings: ConsumerSettings) -> GroupState:
    """Ask for the state of a group; without a source topic there are no partitions.

    A group that Kafka does not know is `dead`. Of a group with the consumer protocol (KIP-848) this client is told
    neither state nor owners: it is `dead` as well. Raises Retryable if Kafka does not answer in time.
    """
    group = consumer_group_id(settings.topic, settings.group)
    try:
        moves = while_coordinator_moves(_ANSWER_SECONDS)
        committed = moves(_committed, settings, group)
        state, owners = moves(_members, settings, group)
    except KafkaException as error:
        raise Retryable(f"group {settings.group}: {kafka_error(error).str()}") from None
    except TimeoutError:
        raise Retryable(f"group {settings.group}: no answer in time") from None
    return GroupState(
        state=state,
        partitions={
            number: PartitionState(
                committed=offset if offset >= 0 else None, metadata=metadata, owner=owners.get(number)
            )
            for number, (offset, metadata) in committed.items()
        },
    )


def _committed(settings: ConsumerSettings, group: str) -> Mapping[int, tuple[int, str]]:
    """Ask as a consumer that never joins."""
    client = consumer(settings, {"group.id": group})
    try:
        numbers = client.list_topics(settings.topic, _ANSWER_SECONDS).topics[settings.topic].partitions
        if not numbers:
            return {}
        asked = [TopicPartition(settings.topic, number) for number in sorted(numbers)]
        places = client.committed(asked, _ANSWER_SECONDS)
    finally:
        client.close()
    for error in filter(None, (place.error for place in places)):
        raise KafkaException(error)
    return {place.partition: (place.offset, place.metadata or "") for place in places}


def _members(settings: ConsumerSettings, group: str) -> tuple[str, Mapping[int, Owner]]:
    client = admin(settings, {})
    asked = client.describe_consumer_groups([group], request_timeout=_ANSWER_SECONDS)
    try:
        description = asked[group].result(_ANSWER_SECONDS + _GRACE_SECONDS)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
            return "dead", {}
        raise
    owners = {
        place.partition: Owner(client_id=member.client_id, host=member.host, member=member.member_id)
        for member in description.members
        for place in member.assignment.topic_partitions
        if place.topic == settings.topic
    }
    return description.state.name.lower(), owners

"""The state of a group on a real Kafka: what was committed, with its metadata, and who owns what."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.group_state import PartitionState, group_state
from schemas.errors import Retryable
from schemas.settings import ConsumerSettings, load
from schemas.topics import consumer_group_id
from tests.broker.conftest import CreateTopic
from tests.conftest import Cluster


def settings(servers: str, topic: str) -> ConsumerSettings:
    """Give the settings of a group of this topic."""
    return load(ConsumerSettings, kafka_bootstrap_servers=servers, topic=topic, tenants_file="none.toml")


def test_what_is_committed_and_who_owns_it(cluster: Cluster, topic_name: str, create_topic: CreateTopic) -> None:
    """Metadata and owner come with the offset; where nothing was committed there is none."""
    create_topic(2)
    asked = settings(cluster.bootstrap_servers, topic_name)
    unknown = group_state(asked)
    assert unknown.state == "dead"
    assert unknown.partitions == {
        number: PartitionState(committed=None, metadata="", owner=None) for number in range(2)
    }
    member = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": consumer_group_id(topic_name, "sync"),
            "client.id": "somebody",
        }
    )
    member.subscribe([topic_name])
    while not member.assignment():
        member.poll(0.1)
    member.commit(offsets=[TopicPartition(topic_name, 1, 7, "note")], asynchronous=False)
    known = group_state(asked)
    member.close()
    assert known.state == "stable"
    assert (known.partitions[1].committed, known.partitions[1].metadata) == (7, "note")
    assert known.partitions[0].committed is None
    owner = known.partitions[0].owner
    assert owner is not None
    assert owner.client_id == "somebody"
    assert group_state(asked).partitions[1].owner is None


def test_a_kafka_that_does_not_answer_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time that is allowed."""
    monkeypatch.setattr("broker.group_state._ANSWER_SECONDS", 0.3)
    with pytest.raises(Retryable, match="group sync"):
        group_state(settings("127.0.0.1:1", "topic"))

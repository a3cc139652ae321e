"""A group's committed offsets from outside, on a real Kafka: where a new group begins, and only a new one."""

import time

import pytest

from broker.group_offsets import CommittedOffset, committed_offsets, start_at
from schemas.errors import Retryable
from tests.broker.conftest import CreateTopic
from tests.broker.test_log_reader import settings
from tests.broker.test_subscription import produce
from tests.conftest import Cluster


def test_a_new_group_begins_at_a_time_and_one_that_has_begun_does_not(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """A partition with nothing since begins at its end; a group that has committed would lose what it has not done."""
    create_topic(3, message_timestamp_type="LogAppendTime")
    produce(cluster, topic_name, {0: 5, 1: 5})
    since = int(time.time() * 1000) + 1
    while time.time() * 1000 <= since + 1:
        pass  # the broker's clock is this one: what comes now is later than `since`
    produce(cluster, topic_name, {1: 2})
    ours = settings(cluster).model_copy(update={"topic": topic_name, "group": "new"})
    partitions = range(3)
    assert committed_offsets(ours, partitions) == {}
    assert start_at(ours, since, "from {}".format) == {0: 5, 1: 5, 2: 0}
    assert committed_offsets(ours, partitions) == {
        number: CommittedOffset(offset=offset, metadata=f"from {offset}") for number, offset in ((0, 5), (1, 5), (2, 0))
    }
    assert start_at(ours, 0) == {}
    assert committed_offsets(ours, partitions)[0].offset == 5


def test_a_kafka_that_does_not_answer_is_said_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be back at the next try."""
    monkeypatch.setattr("broker.group_offsets._ANSWER_SECONDS", 0.3)
    nowhere = settings(cluster).model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(Retryable, match="group sync"):
        committed_offsets(nowhere, [0])

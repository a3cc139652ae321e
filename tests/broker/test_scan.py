"""The scanner on a real Kafka: every message of the stretches, of all partitions, and nothing else."""

import time
from collections import defaultdict

import pytest

from broker.scan import Expired, Scanner, open_scanner
from schemas.errors import Retryable
from tests.broker.conftest import CreateTopic
from tests.broker.test_log_reader import settings
from tests.broker.test_subscription import expire, produce
from tests.conftest import Cluster


def scanned(scanner: Scanner, topic: str, stretches: dict[int, range]) -> dict[int, list[int]]:
    """Give the offsets read, by partition."""
    found: dict[int, list[int]] = defaultdict(list)
    for batch in scanner.scan(topic, stretches):
        for message in batch:
            found[message.partition() or 0].append(message.offset() or 0)
    return found


def test_stretches_of_all_partitions_are_read_whole_and_nothing_beyond_them(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """Again and again with one scanner; a stretch beyond the end ends there, an empty one is not waited for."""
    create_topic(3)
    produce(cluster, topic_name, {0: 5_000, 1: 20})
    with open_scanner(settings(cluster)) as scanner:
        histories = scanner.histories(topic_name)
        assert {number: (history.low, history.high) for number, history in histories.items()} == {
            0: (0, 5_000),
            1: (0, 20),
            2: (0, 0),
        }
        for _ in range(2):
            found = scanned(scanner, topic_name, {0: range(7, 4_043), 1: range(19, 20), 2: range(0)})
            assert found == {0: [*range(7, 4_043)], 1: [19]}
        assert scanned(scanner, topic_name, {1: range(18, 1_000)}) == {1: [18, 19]}


def test_a_time_is_found_as_the_first_offset_appended_since(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """Where nothing was appended since, that is the end."""
    create_topic(2, message_timestamp_type="LogAppendTime")
    produce(cluster, topic_name, {0: 10})
    with open_scanner(settings(cluster)) as scanner:
        histories = scanner.histories(topic_name)
        assert scanner.offsets_at(topic_name, 1, histories) == {0: 0, 1: 0}
        assert scanner.offsets_at(topic_name, int((time.time() + 60) * 1000), histories) == {0: 10, 1: 0}


def test_what_was_deleted_meanwhile_is_said_so(cluster: Cluster, topic_name: str, create_topic: CreateTopic) -> None:
    """So that whoever reads can look again at what exists."""
    create_topic(1)
    produce(cluster, topic_name, {0: 10})
    expire(cluster, topic_name, {0: 5})
    with open_scanner(settings(cluster)) as scanner:
        with pytest.raises(Expired):
            scanned(scanner, topic_name, {0: range(10)})
        assert scanned(scanner, topic_name, {0: range(5, 10)}) == {0: [5, 6, 7, 8, 9]}


def test_a_kafka_that_does_not_answer_is_said_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a topic that does not exist has no partitions."""
    monkeypatch.setattr("broker.scan._ANSWER_SECONDS", 0.3)
    with open_scanner(settings(cluster)) as scanner:
        assert scanner.histories("nobody-made-this") == {}
    nowhere = settings(cluster).model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    with open_scanner(nowhere) as scanner, pytest.raises(Retryable, match="topic"):
        scanner.histories("topic")

"""A look at a draining group, when Kafka answers and leaves something out."""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager

import pytest

from broker.history import History
from broker.layout import Layout
from consumer.drain import look as looking
from consumer.drain.look import begin_drain, find_late, look
from consumer.drain.progress import Late
from schemas.errors import Retryable
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics
from tests.consumer.fakes import settings

LAYOUT = Layout(old=2, new=3)
SETTINGS = settings()
SOURCE = SETTINGS.topic
TOPICS = group_topics(SOURCE, SETTINGS.group)
COUNTS: Mapping[str, int] = {SOURCE: 3, TOPICS.outcomes: 2, TOPICS.parked: 2, TOPICS.dead: 2}
Kafka = tuple[dict[str, int], dict[str, int]]
"""What is said of each topic: its partition count, and of how many partitions it is told what exists."""


class Scanner:
    """Tells of empty partitions: as many of a topic as `counts` says, and as many with a history as `known` does."""

    def __init__(self, counts: Mapping[str, int], known: Mapping[str, int]) -> None:
        self._counts = counts
        self._known = known

    def partitions(self, topic: str) -> int:
        """Count."""
        return self._counts[topic]

    def histories(self, topic: str, wanted: Container[int]) -> Mapping[int, History]:
        """Say what exists."""
        return {number: History(low=0, high=0) for number in range(self._known[topic]) if number in wanted}

    def scan(self, _: str, stretches: Mapping[int, range]) -> Iterator[object]:
        """Give nothing."""
        assert not any(stretches.values())
        return iter(())


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """Let Kafka tell of a group that has nothing left."""
    counts, known = dict(COUNTS), dict(COUNTS)

    @contextmanager
    def scanner(_: ConsumerSettings) -> Iterator[Scanner]:
        yield Scanner(counts, known)

    monkeypatch.setattr(looking, "open_scanner", scanner)
    monkeypatch.setattr(looking, "committed_offsets", lambda *_: {})
    return counts, known


def test_a_group_of_which_everything_is_known_and_nothing_is_left_is_drained(kafka: Kafka) -> None:
    """The empty answers below differ from this one in what they leave out, and in nothing else."""
    assert kafka == (COUNTS, COUNTS)
    drain = begin_drain(LAYOUT)
    assert look(SETTINGS, drain) == LAYOUT
    assert all(progress.is_drained for progress in drain.values())


@pytest.mark.parametrize("topic", COUNTS)
def test_a_topic_that_seems_to_have_no_partitions_is_asked_about_again(kafka: Kafka, topic: str) -> None:
    """An error about a topic comes as a topic without partitions; of which nothing would be left."""
    counts, _ = kafka
    counts[topic] = 0
    with pytest.raises(Retryable, match=topic):
        look(SETTINGS, begin_drain(LAYOUT))


@pytest.mark.parametrize("topic", [SOURCE, TOPICS.parked])
def test_a_partition_that_is_left_out_does_not_look_drained(kafka: Kafka, topic: str) -> None:
    """Something may be left in it, or be parked; nobody knows."""
    _, known = kafka
    known[topic] = 1
    drain = begin_drain(LAYOUT)
    with pytest.raises(Retryable, match=r"partitions \[1\]"):
        look(SETTINGS, drain)


def test_late_events_are_not_taken_for_found_where_a_partition_is_left_out(kafka: Kafka) -> None:
    """It is looked through at the next look."""
    _, known = kafka
    known[SOURCE] = 1
    behind = {number: Late(LAYOUT, number, 0) for number in range(2)}
    with pytest.raises(Retryable, match=r"partitions \[1\]"):
        find_late(SETTINGS, behind)
    known[SOURCE] = 3
    find_late(SETTINGS, behind)
    assert all(late.is_read for late in behind.values())

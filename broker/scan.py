"""Scanning: read stretches of all partitions of a topic at once, outside any group, as fast as batches come.

For commands that look through a log; a takeover reads one partition with `broker.log_reader`. Nothing here is async:
a command has nothing else to do meanwhile.
"""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.client import consumer, existing, kafka_error
from broker.history import History
from schemas.errors import Retryable
from schemas.settings import PipelineSettings

_BATCH = 10_000
_WAIT_SECONDS = 0.1
_FETCH_WAIT_MILLISECONDS = 10
"""How long a broker may hold a fetch that finds nothing new: the next topic's fetch has to wait behind it."""
_STALLED_SECONDS = 30.0
_ANSWER_SECONDS = 15.0


Batch = Sequence[Message]
"""Messages of one topic, without errors among them; in order within a partition."""


class Expired(Retryable):
    """What was to be read next has been deleted meanwhile: look again at what exists."""


@contextmanager
def open_scanner(settings: PipelineSettings) -> Iterator["Scanner"]:
    """Open a scanner."""
    # A consumer needs a group's name even if it never joins one.
    own = {"group.id": "fuse-sync-scanner", "enable.partition.eof": True, "fetch.wait.max.ms": _FETCH_WAIT_MILLISECONDS}
    client = consumer(settings, own)
    try:
        yield Scanner(client)
    finally:
        client.close()


class Scanner:
    """Read stretches of topics; every method raises Retryable if Kafka does not answer in time."""

    def __init__(self, client: Consumer) -> None:
        self._client = client

    def topics(self) -> Collection[str]:
        """Name all topics of the cluster that these settings may see."""
        try:
            return frozenset(self._client.list_topics(timeout=_ANSWER_SECONDS).topics)
        except KafkaException as error:
            raise Retryable(f"topics: {kafka_error(error).str()}") from None

    def partitions(self, topic: str) -> int:
        """Count the partitions of a topic; one that is unknown has none."""
        try:
            return len(self._client.list_topics(topic, _ANSWER_SECONDS).topics[topic].partitions)
        except KafkaException as error:
            raise Retryable(f"{topic}: {kafka_error(error).str()}") from None

    def histories(self, topic: str, wanted: Container[int] | None = None) -> Mapping[int, History]:
        """Ask which records of each partition exist, or of those `wanted`. An unknown topic has no partitions."""
        try:
            known = self._client.list_topics(topic, _ANSWER_SECONDS).topics[topic]
            return {
                number: existing(self._client, TopicPartition(topic, number))
                for number in sorted(known.partitions)
                if wanted is None or number in wanted
            }
        except KafkaException as error:
            raise Retryable(f"{topic}: {kafka_error(error).str()}") from None

    def offsets_at(self, topic: str, milliseconds: int, histories: Mapping[int, History]) -> Mapping[int, int]:
        """Find in each partition the first offset appended at or after a time; its end where there is none."""
        asked = [TopicPartition(topic, number, milliseconds) for number in histories]
        try:
            found = self._client.offsets_for_times(asked, _ANSWER_SECONDS)
        except KafkaException as error:
            raise Retryable(f"{topic}: {kafka_error(error).str()}") from None
        return {
            place.partition: place.offset if place.offset >= 0 else histories[place.partition].high for place in found
        }

    def scan(self, topic: str, stretches: Mapping[int, range]) -> Iterator[Batch]:
        """Give the messages at the offsets of each partition's stretch, in batches; in order within a partition.

        Raises Expired if the beginning of what is left has been deleted.
        """
        left = {number: stretch.stop for number, stretch in stretches.items() if stretch}
        if not left:
            return
        self._client.assign([TopicPartition(topic, number, stretches[number].start) for number in left])
        try:
            while left:
                yield self._wanted(self._batch(topic), topic, left)
        finally:
            self._client.unassign()

    def _batch(self, topic: str) -> Sequence[Message]:
        for _ in range(int(_STALLED_SECONDS / _WAIT_SECONDS)):
            first = self._client.poll(_WAIT_SECONDS)
            if first is not None:
                return [first, *self._client.consume(_BATCH - 1, 0)]
        raise Retryable(f"{topic}: nothing could be read for {_STALLED_SECONDS:g} s")

    def _wanted(self, messages: Sequence[Message], topic: str, left: dict[int, int]) -> Sequence[Message]:
        """Keep what lies in a stretch, and take the partitions that are through out of `left`."""
        wanted = []
        done = set()
        for message in messages:
            number = message.partition() or 0
            if (error := message.error()) is not None:
                _check(error, f"{topic}[{number}]")
                done.add(number)
            elif number in left:
                offset = message.offset() or 0
                if offset < left[number]:
                    wanted.append(message)
                if offset >= left[number] - 1:
                    done.add(number)
        self._leave(topic, [number for number in done if left.pop(number, None) is not None])
        return wanted

    def _leave(self, topic: str, partitions: Sequence[int]) -> None:
        if partitions:
            self._client.incremental_unassign([TopicPartition(topic, number) for number in partitions])


def _check(error: KafkaError, place: str) -> None:
    """Raise what an error among the messages means; the end of a partition is none."""
    if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001 - public name
        raise Expired(f"{place}: {error.str()}")
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public name of a local event
        raise Retryable(f"{place}: {error.str()}")

"""Commits of one Kafka consumer: one at a time, in the order asked for, and answered without holding up the reading.

While a classic group waits for a member that died, Kafka answers nothing on the connection on which a survivor asked to
join again, commits included. Whoever waited for the answer would read nothing for as long.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.client import kafka_error
from schemas.errors import FuseSyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """Commit `offset` (the lowest not settled) for a partition, under the tenure that settled it."""

    partition: int
    tenure: int
    offset: int
    metadata: str


class CommitRefused(FuseSyncError):
    """The commit was not taken: a rebalance is under way, the partition is gone, or no broker answered."""


Answer = Callable[[frozenset[int] | CommitRefused], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be committed together; `answer` is told the tenures whose commit was taken."""

    requests: Sequence[CommitRequest]
    answer: Answer


class Commits:
    """Commit for the thread that owns a consumer; only that thread calls this, until it has ended.

    `is_held` says whether a request's tenure goes on: when it is about to be sent, others are dropped. No more than one
    is under way, so an answer is never taken for that of another. Two are where the second is one of `settle` or `now`,
    which come where nothing polls, so that nobody hears the answer to the first: it is heard later. librdkafka ends no
    revocation before both are answered (`wait_commit_cnt` in its rdkafka_assignment.c).
    """

    def __init__(self, topic: str, is_held: Callable[[CommitRequest], bool]) -> None:
        self._topic = topic
        self._is_held = is_held
        self._waiting: deque[Asked] = deque()
        self._under_way: Asked | None = None

    def attach(self, consumer: Consumer) -> None:
        """Get to know the consumer, which needs `on_commit` first."""
        self._consumer = consumer

    def ask(self, asked: Asked) -> None:
        """Take a commit in; `send` or `settle` does the rest."""
        self._waiting.append(asked)

    def send(self) -> None:
        """Send the next one unless one is under way; the answer comes when the consumer is polled."""
        while self._under_way is None and self._waiting:
            asked = self._next()
            try:
                self._start(asked)
            except KafkaException as error:
                asked.answer(CommitRefused(kafka_error(error).str()))

    def settle(self) -> None:
        """Send whatever waits and wait for each answer: for where the consumer is not polled."""
        while self._waiting:
            asked = self._next()
            try:
                asked.answer(self.now(asked.requests))
            except KafkaException as error:
                asked.answer(CommitRefused(kafka_error(error).str()))

    def now(self, requests: Sequence[CommitRequest]) -> frozenset[int]:
        """Commit, wait, and give the tenures whose commit was taken. Raises KafkaException."""
        if not requests:
            return frozenset()
        return _taken(requests, self._consumer.commit(offsets=self._places(requests), asynchronous=False) or ())

    def on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """Take the answer to the one under way, and send the next: librdkafka's callback, within a poll."""
        asked, self._under_way = self._under_way, None
        if asked is not None:
            asked.answer(_taken(asked.requests, places) if error is None else CommitRefused(error.str()))
        self.send()

    def drop(self) -> None:
        """Answer all that is left once the thread has ended: nothing of it was taken, as far as anybody knows."""
        left, self._under_way = [*filter(None, [self._under_way]), *self._waiting], None
        self._waiting.clear()
        for asked in left:
            asked.answer(frozenset())

    def _next(self) -> Asked:
        asked = self._waiting.popleft()
        return replace(asked, requests=[request for request in asked.requests if self._is_held(request)])

    def _start(self, asked: Asked) -> None:
        if not asked.requests:
            asked.answer(frozenset())
            return
        self._consumer.commit(offsets=self._places(asked.requests), asynchronous=True)
        self._under_way = asked

    def _places(self, requests: Sequence[CommitRequest]) -> list[TopicPartition]:
        return [
            TopicPartition(self._topic, request.partition, request.offset, request.metadata) for request in requests
        ]


def _taken(requests: Sequence[CommitRequest], places: Sequence[TopicPartition]) -> frozenset[int]:
    refused = {place.partition for place in places if place.error is not None}
    return frozenset(request.tenure for request in requests if request.partition not in refused)

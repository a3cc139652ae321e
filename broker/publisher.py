"""The publisher: records in, acknowledgements out."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from broker.client import kafka_error, producer
from broker.threads import patient_threads
from schemas.errors import NotAcknowledged, QueueFull, UnpublishableRecord
from schemas.record import Record
from schemas.settings import PipelineSettings
from schemas.telemetry import LogEvent

_BUSY_SECONDS = 0.002
"""How often delivery reports are fetched while records wait for theirs. One visit serves many reports; fetching them
in the event loop needs no thread and so no hop between threads."""
_IDLE_SECONDS = 0.2
_GATHER_SECONDS = 0.002
"""How long records wait for others after some were handed over: together they fill one request and wake librdkafka's
threads once. The first after a while does not wait."""
_LINGER_MILLISECONDS = 1
"""Longer than it takes to hand over what was gathered, so that it is not parted again."""
_BY_KEY = -1
"""librdkafka's RD_KAFKA_PARTITION_UA: the partitioner chooses."""

_FULL = "the publisher's queue is full: Kafka takes less than is sent"

_NEVER = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError._FATAL,  # noqa: SLF001 - confluent-kafka's public name for librdkafka's local error
    }
)
"""Errors that no later attempt can mend."""


class Position(NamedTuple):
    """Where an acknowledged record lies. A tuple, since one is made for every record."""

    partition: int
    offset: int


_Published = tuple[str, Record, int, asyncio.Future[Position]]
"""A record with its topic and partition, and what is done once it is acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a publisher may hold unacknowledged, and for how long.

    `deadline_seconds` bounds how long Kafka may take for one record; 0 waits for ever. `stop_seconds` bounds how long
    closing the publisher waits for what is unacknowledged before it gives that up.
    """

    messages: int
    bytes: int
    deadline_seconds: float
    stop_seconds: float


class Publisher:
    """Publish records durably: idempotent, `acks=all`, with a bounded queue.

    `failure` is done when the producer cannot go on at all; the process has to end then. With `patient` its threads do
    not interrupt the event loop where there is one core (`patient_threads`). Use as an async context manager.
    """

    def __init__(self, settings: PipelineSettings, bounds: Bounds, *, patient: bool = False) -> None:
        self._config = {
            "queue.buffering.max.messages": bounds.messages,
            "queue.buffering.max.kbytes": max(1, bounds.bytes // 1024),
            "message.timeout.ms": int(bounds.deadline_seconds * 1000),
            "linger.ms": _LINGER_MILLISECONDS,
            "error_cb": self._troubled,
        }
        self._settings = settings
        self._patient = patient
        self._most_waiting = bounds.messages
        self._stop_seconds = bounds.stop_seconds
        self._log = structlog.get_logger()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[UnpublishableRecord] = self._loop.create_future()
        with patient_threads() if self._patient else nullcontext():
            self._producer: Producer = producer(self._settings, self._config)
        self._visit = self._loop.call_later(_IDLE_SECONDS, self._fetch_reports)
        self._visit_is_near = False
        self._waiting = 0
        self._gathered: list[_Published] = []
        self._gather_until = 0.0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hand_over()
        await self._drained()
        self._visit.cancel()
        self._producer.purge()
        self._producer.poll(0)

    @property
    def waiting(self) -> int:
        """Count the records that are not acknowledged yet."""
        return self._waiting

    def publish(self, topic: str, record: Record, *, partition: int = _BY_KEY) -> asyncio.Future[Position]:
        """Queue a record; the future gives its position once Kafka has acknowledged it.

        Raises QueueFull; the future raises NotAcknowledged, QueueFull, or UnpublishableRecord for what Kafka will
        never take.
        """
        if self._waiting >= self._most_waiting:
            raise QueueFull(_FULL)
        acknowledged: asyncio.Future[Position] = self._loop.create_future()
        self._waiting += 1
        if not self._gathered:
            wait = self._gather_until - self._loop.time()
            if wait > 0:
                self._loop.call_later(wait, self._hand_over)
            else:
                self._loop.call_soon(self._hand_over)
        self._gathered.append((topic, record, partition, acknowledged))
        return acknowledged

    async def faults(self, topic: str, within: float) -> tuple[str, ...]:
        """List what stands in the way of publishing to `topic`; the brokers have `within` seconds to answer."""
        if self.failure.done():
            return (str(self.failure.result()),)
        try:
            metadata = await asyncio.to_thread(self._producer.list_topics, topic, within)
        except KafkaException as error:
            return (f"no broker answers: {kafka_error(error).str()}",)
        found = metadata.topics[topic]
        if found.error is not None:
            return (f"topic {topic}: {found.error.str()}",)
        leaderless = sorted(number for number, partition in found.partitions.items() if partition.leader < 0)
        return tuple(f"topic {topic}: partition {number} has no leader" for number in leaderless)

    def _hand_over(self) -> None:
        self._gather_until = self._loop.time() + _GATHER_SECONDS
        gathered, self._gathered = self._gathered, []
        for each in gathered:
            self._produce(*each)
        if gathered and not self._visit_is_near:
            self._visit.cancel()
            self._schedule_visit()

    def _produce(self, topic: str, record: Record, partition: int, acknowledged: asyncio.Future[Position]) -> None:
        try:
            self._producer.produce(
                topic,
                record.value,
                record.key,
                partition,
                on_delivery=partial(self._report, acknowledged),
                headers=list(record.headers),
            )
        except BufferError:
            self._end(acknowledged, QueueFull(_FULL))
        except KafkaException as error:
            self._end(acknowledged, _failure(kafka_error(error)))

    def _report(self, acknowledged: asyncio.Future[Position], error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._end(acknowledged, _failure(error))
            return
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            self._end(acknowledged, NotAcknowledged("Kafka acknowledged a record without saying where it lies"))
        else:
            self._end(acknowledged, Position(partition, offset))

    def _end(self, acknowledged: asyncio.Future[Position], ending: Position | Exception) -> None:
        self._waiting -= 1
        if acknowledged.done():  # whoever asked has gone away
            return
        if isinstance(ending, Exception):
            acknowledged.set_exception(ending)
        else:
            acknowledged.set_result(ending)

    def _schedule_visit(self) -> None:
        self._visit_is_near = self._waiting > 0
        self._visit = self._loop.call_later(
            _BUSY_SECONDS if self._visit_is_near else _IDLE_SECONDS, self._fetch_reports
        )

    def _fetch_reports(self) -> None:
        self._producer.poll(0)
        self._schedule_visit()

    async def _drained(self) -> None:
        deadline = self._loop.time() + self._stop_seconds
        while self._waiting and self._loop.time() < deadline:  # noqa: ASYNC110 - librdkafka has no event for it
            await asyncio.sleep(_BUSY_SECONDS)

    def _troubled(self, error: KafkaError) -> None:
        self._log.warning(LogEvent.BROKER_TROUBLED, client="publisher", code=error.name(), error=error.str())
        if error.fatal() and not self.failure.done():
            self.failure.set_result(
                UnpublishableRecord(f"the producer cannot go on: {error.str()}; restart the process")
            )


def _failure(error: KafkaError) -> NotAcknowledged | UnpublishableRecord:
    if error.code() in _NEVER or error.fatal():
        return UnpublishableRecord(f"Kafka refuses the record: {error.str()}")
    return NotAcknowledged(f"Kafka did not acknowledge the record: {error.str()}")

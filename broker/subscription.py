"""The subscription: one thread owns the Kafka consumer, batches and commands cross over to the event loop.

confluent-kafka serialises the calls of one Consumer: while one thread sits in `poll`, any other thread's `commit` or
`pause` starves. So a single thread makes all of them, and everybody else sends it commands.
"""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker.client import consumer, existing, kafka_error, read_batch, received
from broker.commits import Asked, CommitRefused, CommitRequest, Commits
from broker.history import starting_offset
from broker.membership import client_id, group_config, refusal_of
from schemas.errors import LogCut
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

__all__ = ["Assignment", "CommitRefused", "CommitRequest", "Member", "Subscription"]

_BATCH = 500
_BATCHES_AHEAD = 2
"""Batches handed over that the event loop has not taken yet; beyond it the thread waits."""
_POLL_SECONDS = 0.05
"""How long a command may wait while nothing arrives."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A partition given to this member.

    `tenure` numbers the assignments of this process: commands name it, and those of a past tenure are dropped.
    `start` is the offset reading starts from: the committed frontier, or the earliest record there is.
    `metadata` is the text committed with the frontier, empty if there is none, or if it says nothing of this log: the
    frontier lies beyond its end, since it was cut or made anew.
    """

    partition: int
    tenure: int
    start: int
    metadata: str


class Member(Protocol):
    """Who is told about the subscription; every method is called in the event loop."""

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Take partitions over. They are paused until `Subscription.resume`."""

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Take records of partitions held; each partition's records come once and in offset order."""

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let partitions go, in bounded time; what is returned is committed before the group goes on."""

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions that somebody else may own already; nothing can be committed for them."""


class Subscription:
    """Read a topic as a member of a group. Use as an async context manager.

    `failure` is done when the thread cannot go on; the process has to end then. `address` is where the member's own
    page is, if it has one: Kafka tells it to whoever asks who owns a partition.
    """

    def __init__(self, settings: ConsumerSettings, member: Member, address: str | None = None) -> None:
        self._settings = settings
        self._client_id = client_id(address)
        self._member = member
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tenures: dict[int, int] = {}
        self._tenures_begun = 0
        self._read_to: dict[int, int] = {}
        self._commits = Commits(settings.topic, self._is_held)
        self._stopping = False
        self._refused: Exception | None = None
        self._batches_ahead = threading.BoundedSemaphore(_BATCHES_AHEAD)
        self._log = structlog.get_logger()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[BaseException] = self._loop.create_future()
        # In our context: what its calls begin in the event loop logs with the fields that are bound here.
        begin = contextvars.copy_context().run
        self._thread = threading.Thread(target=begin, args=(self._own_consumer,), name="subscription", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        await asyncio.to_thread(self._thread.join)
        self._tenures.clear()
        self._run_commands()  # those that came while the thread ended: dropped, but answered
        self._commits.drop()

    def commit(self, requests: Sequence[CommitRequest]) -> asyncio.Future[frozenset[int]]:
        """Commit frontiers; the future gives the tenures whose commit was taken, or raises CommitRefused.

        Requests of a past tenure are dropped, and so are missing from what the future gives; when the subscription
        has ended that is all of them.
        """
        answered: asyncio.Future[frozenset[int]] = self._loop.create_future()
        if self._thread.is_alive():
            self._commands.put(lambda: self._commit(requests, answered))
        else:
            answered.set_result(frozenset())
        return answered

    def pause(self, partition: int, tenure: int) -> None:
        """Stop reading a partition."""
        self._commands.put(lambda: self._if_held(partition, tenure, self._consumer.pause))

    def resume(self, partition: int, tenure: int) -> None:
        """Read a partition, from the start or from where it was paused."""
        self._commands.put(lambda: self._if_held(partition, tenure, self._consumer.resume))

    # What follows runs in the owning thread.

    def _own_consumer(self) -> None:
        try:
            self._consumer: Consumer = consumer(self._settings, self._config())
            self._commits.attach(self._consumer)
            self._consumer.subscribe(
                [self._settings.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._stopping:
                self._run_commands()
                self._commits.send()
                self._hand_over(self._read_held())
                self._end_if_refused()
            self._let_go([*self._tenures])  # before closing: while it closes, librdkafka sends no heartbeats
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - the thread's edge: whatever ends it ends the process
            self._loop.call_soon_threadsafe(self._failed, error)

    def _config(self) -> Mapping[str, object]:
        own = {"client.id": self._client_id, **group_config(self._settings)}
        return {**own, "error_cb": self._troubled, "on_commit": self._commits.on_commit}

    def _end_if_refused(self) -> None:
        # Not in the callback that noticed it: what is raised there, confluent-kafka may swallow.
        if self._refused is not None:
            raise self._refused

    def _run_commands(self) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command()

    def _read_held(self) -> list[Message]:
        """Read, and drop what a rebalance in the midst of the reading took away: its next owner reads it again."""
        before = dict(self._tenures)
        messages = read_batch(self._consumer, _BATCH, _POLL_SECONDS)
        if before == self._tenures:
            return messages
        kept = before.items() & self._tenures.items()
        partitions = {partition for partition, _ in kept}
        return [message for message in messages if message.partition() in partitions]

    def _hand_over(self, messages: Sequence[Message]) -> None:
        records = [received(message) for message in messages if self._is_record(message)]
        if not records:
            return
        while not self._batches_ahead.acquire(timeout=_POLL_SECONDS):
            if self._stopping:
                return
        self._loop.call_soon_threadsafe(self._deliver, records)

    def _deliver(self, records: Sequence[ReceivedRecord]) -> None:
        """Run in the event loop: pass a batch on and let the thread read the next."""
        self._batches_ahead.release()
        self._member.received(records)

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return self._is_new(message.partition() or 0, message.offset() or 0)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - public name of a local error
            self._restart_where_history_begins(message)
        else:
            self._troubled(error)
        return False

    def _is_new(self, partition: int, offset: int) -> bool:
        """Say whether a record has not come before in its tenure.

        librdkafka pauses all that stays in a rebalance, from its own thread, and resumes it from where it believes that
        we have read to: what it is just handing out comes again. Who takes an event twice would call twice, and the
        frontier would step back, to where the outcomes of what it covers are not looked for.
        """
        if offset < self._read_to.get(partition, 0):
            return False
        self._read_to[partition] = offset + 1
        return True

    def _restart_where_history_begins(self, message: Message) -> None:
        """Go on from the earliest record when the next one has expired before it was read.

        The next one of a log that was cut, or made anew, is no later than what was read, if it is known at all: the
        tenure is over, and so is the process, since librdkafka has no way to give up one partition.
        """
        missed = TopicPartition(self._settings.topic, message.partition() or 0, message.offset() or 0)
        with self._asker() as asker:
            start = self._start(missed, asker)
        if message.offset() is None or start < missed.offset:
            self._refused = LogCut(
                f"{missed.topic}[{missed.partition}] was cut, or made anew, while it was read: start again"
            )
            return
        # librdkafka has stopped fetching this partition, and seeks only where it fetches.
        self._consumer.incremental_unassign([missed])
        self._consumer.incremental_assign([TopicPartition(missed.topic, missed.partition, start)])

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if self._stopping:  # taken and left alone: a consumer that closes would wait in vain for what was committed
            self._consumer.incremental_assign(partitions)
            self._consumer.pause(partitions)
            return
        assignments = self._begin_tenures(partitions) if partitions else []
        self._consumer.incremental_assign(
            [TopicPartition(self._settings.topic, given.partition, given.start) for given in assignments]
        )
        self._consumer.pause([TopicPartition(self._settings.topic, given.partition) for given in assignments])
        self._loop.call_soon_threadsafe(self._member.assigned, assignments)

    @contextmanager
    def _asker(self) -> Iterator[Consumer]:
        """Open a client that asks for what exists, and learns of new leaders.

        The group's own cannot, in a callback: confluent-kafka aborts the process at the next callback once a client
        has called `list_topics` in one of its own. Besides, this one's knowledge of the leaders is fresh.
        """
        asker = consumer(self._settings, {"group.id": "fuse-sync-asker"})  # a name it never joins under
        try:
            yield asker
        finally:
            asker.close()

    def _begin_tenures(self, partitions: list[TopicPartition]) -> Sequence[Assignment]:
        places = _patiently(self._committed, partitions)
        with self._asker() as asker:
            return [self._begin_tenure(place, asker) for place in places]

    def _begin_tenure(self, committed: TopicPartition, asker: Consumer) -> Assignment:
        self._tenures_begun += 1
        self._tenures[committed.partition] = self._tenures_begun
        start = self._read_to[committed.partition] = self._start(committed, asker)
        return Assignment(
            partition=committed.partition,
            tenure=self._tenures_begun,
            start=start,
            metadata="" if start < committed.offset else committed.metadata or "",
        )

    def _start(self, committed: TopicPartition, asker: Consumer) -> int:
        """Find where to read from, and report what the group will never see because it has expired."""
        wanted = None if committed.offset in (OFFSET_INVALID, OFFSET_BEGINNING) else committed.offset
        start, gone = starting_offset(wanted, _patiently(existing, asker, committed))
        if gone:
            self._log.error(
                LogEvent.HISTORY_EXPIRED, partition=committed.partition, first_gone=gone.start, last_gone=gone.stop - 1
            )
        return start

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        places = self._consumer.committed(partitions, _REQUEST_SECONDS)
        for place in places:
            if place.error is not None:  # to take it for "never committed" would start the partition all over
                raise KafkaException(place.error)
        return places

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._let_go([partition.partition for partition in partitions if partition.partition in self._tenures])

    def _let_go(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        released = asyncio.run_coroutine_threadsafe(self._release(numbers), self._loop)
        while not released.done():  # the partitions that stay still have to be committed meanwhile
            self._run_commands()
            self._commits.settle()
            wait([released], timeout=_POLL_SECONDS)
        self._commit_last(released.result())
        for number in numbers:
            self._tenures.pop(number, None)

    async def _release(self, numbers: Sequence[int]) -> Sequence[CommitRequest]:
        return await self._member.released(numbers)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [partition.partition for partition in partitions]
        for number in numbers:
            self._tenures.pop(number, None)
        self._loop.call_soon_threadsafe(self._member.lost, numbers)

    def _commit_last(self, requests: Sequence[CommitRequest]) -> None:
        """Commit while letting go: the callback may not return before the answer is there."""
        try:
            self._commits.now(requests)
        except KafkaException as error:
            self._log.warning(LogEvent.COMMIT_FAILED, error=kafka_error(error).str(), partitions=len(requests))

    def _commit(self, requests: Sequence[CommitRequest], answered: asyncio.Future[frozenset[int]]) -> None:
        def answer(result: frozenset[int] | CommitRefused) -> None:
            self._loop.call_soon_threadsafe(_answer, answered, result)

        self._commits.ask(Asked(requests=requests, answer=answer))

    def _is_held(self, request: CommitRequest) -> bool:
        return self._tenures.get(request.partition) == request.tenure

    def _if_held(self, partition: int, tenure: int, act: Callable[[list[TopicPartition]], None]) -> None:
        if self._tenures.get(partition) == tenure:
            act([TopicPartition(self._settings.topic, partition)])

    def _troubled(self, error: KafkaError) -> None:
        self._refused = self._refused or refusal_of(error, self._settings)
        self._log.warning(LogEvent.BROKER_TROUBLED, client="subscription", code=error.name(), error=error.str())

    def _failed(self, error: BaseException) -> None:
        if not self.failure.done():
            self.failure.set_result(error)


_patiently = Retrying(
    retry=retry_if_exception_type(KafkaException), stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True
)
"""A member is of no use without these answers, and a broker that restarts is back within a minute."""


def _answer(answered: asyncio.Future[frozenset[int]], result: frozenset[int] | CommitRefused) -> None:
    if answered.done():  # whoever asked has gone away
        return
    if isinstance(result, CommitRefused):
        answered.set_exception(result)
    else:
        answered.set_result(result)

"""A member of a group: carries out what the engines of its partitions decide.

assigned ─▶ take over ─▶ received ─▶ start ─▶ handle ─▶ outcome ─▶ commit ─▶ released
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from broker.publisher import Position
from broker.subscription import Assignment, CommitRefused, CommitRequest
from consumer.calls import Calls
from consumer.engine.commands import Command, Pause, Read, Start, WriteOutcome
from consumer.engine.committed import read_committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Bounds, PartitionEngine, Skipped
from consumer.lease import COMMITS_PER_LEASE, LEASE_SHARE, Lease
from consumer.slots import Slot, Slots
from consumer.taking_over import Clients, take_over
from consumer.tenure import Tenure, let_go
from schemas.errors import QueueFull, Retryable, UnpublishableRecord, UnreadableRecord
from schemas.outcome import Ended, OutcomeKind
from schemas.record import ReceivedRecord, from_record
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

_WRITE_AGAIN_SECONDS = 0.1
_OUTCOME_SECONDS = 10.0
"""How long letting go waits for outcomes to be acknowledged; what is late is repeated by the next owner."""


class GroupMember:
    """Hold partitions, handle their events, and let them go.

    `failure` is done when this member cannot go on; the process has to end then. `unreadable` counts the records of
    the source that do not follow the contract.
    """

    def __init__(self, settings: ConsumerSettings, name: str, calls: Calls) -> None:
        self._settings = settings
        self._name = name
        self._calls = calls
        self._slots = Slots(settings.max_in_flight)
        self._tenures: dict[int, Tenure] = {}
        self._log = structlog.get_logger()
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.unreadable = 0

    def connect(self, clients: Clients) -> None:
        """Say what to read and write with; the subscription needs the member first, so this comes after."""
        self._clients = clients

    # Told by the subscription, in the event loop.

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Begin a tenure of each partition, with its takeover."""
        for assignment in assignments:
            try:
                tenure = self._begin(assignment)
            except UnreadableRecord as error:
                return self.fail(error)
            self._tenures[assignment.partition] = tenure
            self._run(self._take_over(tenure), tenure.takeover)
        return self._share_bounds()

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Hand records to the engines of their partitions."""
        for partition, batch in _by_partition(records).items():
            tenure = self._tenures.get(partition)
            if tenure is not None:
                incoming = [self._incoming(record) for record in batch]
                self._carry_out(tenure, tenure.engine.records_read(incoming))

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let partitions go, and say what to commit for them."""
        tenures = [self._tenures[partition] for partition in partitions if partition in self._tenures]
        await let_go(tenures, drain_seconds=self._settings.drain_seconds, outcome_seconds=_OUTCOME_SECONDS)
        for tenure in tenures:
            self._tenures.pop(tenure.partition, None)
            self._log.info(LogEvent.PARTITION_RELEASED, partition=tenure.partition, held=tenure.engine.held)
        self._share_bounds()
        return _commit_requests(tenures)

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions that somebody else may own already."""
        for partition in partitions:
            tenure = self._tenures.pop(partition, None)
            if tenure is not None:
                tenure.abandon()
                self._log.warning(LogEvent.PARTITION_LOST, partition=partition, held=tenure.engine.held)
        self._share_bounds()

    def abandon(self) -> None:
        """Forget every partition: what cannot be committed any more must not be worked on."""
        self.lost([*self._tenures])

    async def commit_regularly(self) -> None:
        """Commit every frontier at the interval of the settings, or as often as the lease needs it, for ever."""
        lease = self._settings.session_timeout_seconds * LEASE_SHARE
        interval = min(self._settings.commit_interval_seconds, lease / COMMITS_PER_LEASE)
        while True:
            await asyncio.sleep(interval)
            await self._commit()

    # Taking over.

    def _begin(self, assignment: Assignment) -> Tenure:
        self._log.info(LogEvent.PARTITION_ASSIGNED, partition=assignment.partition, start=assignment.start)
        committed = read_committed(assignment.start, assignment.metadata)
        engine = PartitionEngine(committed, self._name, self._share(len(self._tenures) + 1))
        lease = Lease(self._settings.session_timeout_seconds * LEASE_SHARE)
        return Tenure(partition=assignment.partition, number=assignment.tenure, engine=engine, lease=lease)

    async def _take_over(self, tenure: Tenure) -> None:
        self._carry_out(tenure, await take_over(tenure, self._clients))
        self._log.info(LogEvent.PARTITION_STARTED, partition=tenure.partition, epoch=tenure.engine.epoch)

    def _share(self, partitions: int) -> Bounds:
        return Bounds(
            events=max(1, self._settings.max_held_events // partitions),
            bytes=max(1, self._settings.max_held_bytes // partitions),
            distance=self._settings.max_frontier_distance,
        )

    def _share_bounds(self) -> None:
        for tenure in self._tenures.values():
            tenure.engine.bounds = self._share(len(self._tenures))

    # Running.

    def _carry_out(self, tenure: Tenure, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    self._slots.request(waiting.event.tenant, partial(self._start, tenure, waiting))
                case WriteOutcome(ended=ended):
                    self._write_outcome(tenure, ended)
                case Pause():
                    self._clients.subscription.pause(tenure.partition, tenure.number)
                case Read():
                    self._clients.subscription.resume(tenure.partition, tenure.number)
                case _:
                    raise TypeError(f"{command} belongs to a takeover")

    def _incoming(self, record: ReceivedRecord) -> Waiting | Skipped:
        """Read a record as an event; one that is unreadable is counted and named, and stops nothing."""
        try:
            event = from_record(record)
        except UnreadableRecord as error:
            self.unreadable += 1
            self._log.error(
                LogEvent.RECORD_UNREADABLE,
                topic=self._settings.topic,
                partition=record.partition,
                offset=record.offset,
                reason=error.reason,
                error=str(error),
                unreadable=self.unreadable,
            )
            return Skipped(offset=record.offset)
        return Waiting(offset=record.offset, lane=record.key or b"", size=record.size, event=event)

    def _start(self, tenure: Tenure, waiting: Waiting, slot: Slot) -> bool:
        if not tenure.engine.may_start:
            return False
        call = self._run(self._handle(tenure, waiting, slot), tenure.calls)
        # Not in the call itself: one that is cancelled before its first step runs nothing of its own.
        call.add_done_callback(lambda _: slot.give_back())
        return True

    async def _handle(self, tenure: Tenure, waiting: Waiting, slot: Slot) -> None:
        ending = await self._calls.until_done(
            waiting.event,
            sleep=lambda seconds: tenure.rest(partial(slot.sleep, seconds)),
            leased=lambda: tenure.rest(tenure.lease.held),
        )
        self._carry_out(tenure, tenure.engine.call_ended(waiting, ending))

    def _write_outcome(self, tenure: Tenure, ended: Ended) -> None:
        try:
            written = self._clients.write(tenure.partition, ended)
        except UnpublishableRecord as error:
            self.fail(error)
        except Retryable as error:
            self._not_written(tenure, ended, error)
        else:
            tenure.writes.add(written)
            written.add_done_callback(partial(self._outcome_written, tenure, ended))

    def _outcome_written(self, tenure: Tenure, ended: Ended, written: asyncio.Future[Position]) -> None:
        """Settle the event."""
        tenure.writes.discard(written)
        error = written.exception()
        if error is None:
            self._carry_out(tenure, tenure.engine.outcome_written(ended.offset, written.result().offset))
            self._log_ended(tenure, ended)
        elif isinstance(error, UnpublishableRecord):
            self.fail(error)
        else:
            self._not_written(tenure, ended, error)

    def _not_written(self, tenure: Tenure, ended: Ended, error: BaseException) -> None:
        """Write an outcome again that Kafka did not take: it pins the frontier of whoever holds the partition."""
        if self._tenures.get(tenure.partition) is not tenure:
            return
        if not isinstance(error, QueueFull):
            self._log.error(LogEvent.FRONTIER_PINNED, partition=tenure.partition, offset=ended.offset, error=str(error))
        self._run(self._write_later(tenure, ended), tenure.rewrites)

    async def _write_later(self, tenure: Tenure, ended: Ended) -> None:
        await asyncio.sleep(_WRITE_AGAIN_SECONDS)
        self._write_outcome(tenure, ended)

    def _log_ended(self, tenure: Tenure, ended: Ended) -> None:
        """Log how an event ended; what is usual only at level debug, since the outcomes topic says it too."""
        log = self._log.debug if ended.outcome is OutcomeKind.APPLIED else self._log.info
        log(
            LogEvent.EVENT_ENDED,
            event_id=ended.id,
            partition=tenure.partition,
            offset=ended.offset,
            outcome=ended.outcome,
            reason=ended.reason,
            attempts=ended.attempts,
        )

    async def _commit(self) -> None:
        requests = _commit_requests(self._tenures.values())
        if not requests:
            return
        sent_at = asyncio.get_running_loop().time()
        try:
            taken = await self._clients.subscription.commit(requests)
        except CommitRefused as error:  # usual around a rebalance; the next one repeats it
            self._log.info(LogEvent.COMMIT_FAILED, error=str(error), partitions=len(requests))
            return
        for tenure in self._tenures.values():
            if tenure.number in taken:
                tenure.lease.renew(sent_at)

    def _run(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self.check)
        return task

    def check(self, task: asyncio.Task[None]) -> None:
        """End this member if a task of its own has failed."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End this member: it cannot keep its promises any more."""
        if not self.failure.done():
            self.failure.set_result(error)


def _by_partition(records: Sequence[ReceivedRecord]) -> Mapping[int, Sequence[ReceivedRecord]]:
    batches: dict[int, list[ReceivedRecord]] = defaultdict(list)
    for record in records:
        batches[record.partition].append(record)
    return batches


def _commit_requests(tenures: Iterable[Tenure]) -> list[CommitRequest]:
    return [request for tenure in tenures if (request := tenure.commit_request()) is not None]

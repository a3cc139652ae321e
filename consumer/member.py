"""A member of a group: carries out what the engines of its partitions decide.

assigned ─▶ take over ─▶ received ─▶ start ─▶ handle ─▶ write ─▶ commit ─▶ released
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, assert_never

import structlog

from broker.subscription import Assignment, CommitRefused, CommitRequest
from consumer import reports
from consumer.calls import Calls
from consumer.clients import Clients
from consumer.engine.commands import (
    Claim,
    Command,
    Mark,
    Pause,
    Read,
    ReadBack,
    Start,
    Write,
    WriteDead,
    WriteOutcome,
    WritePark,
    WriteSettle,
)
from consumer.engine.committed import Committed, read_committed
from consumer.engine.endings import Ending, Place, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Policy
from consumer.engine.retry import Failed
from consumer.gauges import Gauges, gauges
from consumer.inspection import MemberView
from consumer.lease import COMMITS_PER_LEASE, LEASE_SHARE, Lease
from consumer.limits import share
from consumer.scratch import Scratch
from consumer.slots import Slots
from consumer.starts import Starts
from consumer.taking_over import take_over
from consumer.tenure import Tenure, let_go
from consumer.writes import Writes
from schemas.errors import Retryable, UnreadableRecord
from schemas.record import ReceivedRecord, from_record
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

_WRITE_SECONDS = 10.0
"""How long letting go waits for what ended to be acknowledged; what is late is repeated by the next owner."""
_TICK_SECONDS = 0.1
_TRIM_SECONDS = 30.0
_MEASURE_SECONDS = 60.0


class GroupMember:
    """Hold partitions, handle their events, and let them go.

    `failure` is done when this member cannot go on; the process has to end then. `unreadable` counts the records of
    the source that do not follow the contract.
    """

    def __init__(self, settings: ConsumerSettings, name: str, calls: Calls, policy: Policy) -> None:
        self._settings = settings
        self._name = name
        self._calls = calls
        self._policy = policy
        self._starts = Starts(
            calls=calls,
            slots=Slots(settings.max_in_flight),
            doors=policy.doors,
            settled=self._carry_out,
            ended=self._ended,
            check=self.check,
        )
        self._tenures: dict[int, Tenure] = {}
        self._log = structlog.get_logger()
        self.alarms = calls.holds.alarms
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.unreadable = 0

    def connect(self, clients: Clients) -> None:
        """Say what to read and write with; the subscription needs the member first, so this comes after."""
        self._clients = clients
        self._writes = Writes(
            clients=clients, alarms=self.alarms, written=self._written, failed=self.fail, run=self._run
        )

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
                self._carry_out(tenure, tenure.engine.records_read(incoming, self._now()))

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let partitions go, and say what to commit for them."""
        tenures = [self._tenures[partition] for partition in partitions if partition in self._tenures]
        await let_go(tenures, drain_seconds=self._settings.drain_seconds, write_seconds=_WRITE_SECONDS)
        requests = [tenure.commit_request(committed) for tenure, committed in _frontiers(tenures)]
        for tenure in tenures:
            self._tenures.pop(tenure.partition, None)
            tenure.end()
            self._writes.forget(tenure.partition)
            self._log.info(LogEvent.PARTITION_RELEASED, partition=tenure.partition, held=tenure.engine.held)
        self._calls.holds.forget()
        self._share_bounds()
        return requests

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions that somebody else may own already."""
        for partition in partitions:
            tenure = self._tenures.pop(partition, None)
            if tenure is not None:
                tenure.abandon()
                self._writes.forget(partition)
                self._log.warning(LogEvent.PARTITION_LOST, partition=partition, held=tenure.engine.held)
        self._calls.holds.forget()
        self._share_bounds()

    def abandon(self) -> None:
        """Forget every partition: what cannot be committed any more must not be worked on."""
        self.lost([*self._tenures])

    # At regular times.

    def regular_work(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Give what has to go on beside all else for as long as this member lives."""
        return (
            self.commit_regularly(),
            self.tick_regularly(),
            self._starts.release_regularly(),
            self.trim_regularly(),
            self.measure_regularly(),
        )

    async def commit_regularly(self) -> None:
        """Commit every frontier at the interval of the settings, or as often as the lease needs it, for ever."""
        lease = self._settings.session_timeout_seconds * LEASE_SHARE
        interval = min(self._settings.commit_interval_seconds, lease / COMMITS_PER_LEASE)
        while True:
            await asyncio.sleep(interval)
            await self._commit()

    async def tick_regularly(self) -> None:
        """Tell the engines the time, so that parked events get their turns, for ever."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for tenure in [*self._tenures.values()]:
                self._carry_out(tenure, tenure.engine.tick(self._now()))

    async def trim_regularly(self) -> None:
        """Delete what does not count any more of the parked logs, for ever."""
        while True:
            await asyncio.sleep(_TRIM_SECONDS)
            await self._trim()

    async def measure_regularly(self) -> None:
        """Log what this member holds, for ever."""
        while True:
            await asyncio.sleep(_MEASURE_SECONDS)
            self._log.info(LogEvent.MEMBER_MEASURED, **self.gauges().as_fields())

    def view(self) -> MemberView:
        """Give what others may look at."""
        return MemberView(
            settings=self._settings,
            name=self._name,
            tenures=self._tenures,
            slots=self._starts.slots,
            doors=self._policy.doors,
            alarms=self.alarms,
            gauges=self.gauges,
            clock=self._calls.clock,
        )

    def gauges(self) -> Gauges:
        """Measure what this member holds against its bounds."""
        engines = [tenure.engine for tenure in self._tenures.values()]
        closed = len(self._policy.doors.closed)
        return gauges(
            engines,
            calls=self._starts.in_flight,
            unreadable=self.unreadable,
            misconfigured=closed,
            held=self._calls.holds.open,
        )

    # Taking over.

    def _begin(self, assignment: Assignment) -> Tenure:
        self._log.info(LogEvent.PARTITION_ASSIGNED, partition=assignment.partition, start=assignment.start)
        committed = read_committed(assignment.start, assignment.metadata)
        place = Place(
            group=self._settings.group,
            member=self._name,
            topic=self._settings.topic,
            partition=assignment.partition,
        )
        scratch = Scratch()
        return Tenure(
            partition=assignment.partition,
            number=assignment.tenure,
            engine=PartitionEngine(
                committed, place, self._policy, share(self._settings, len(self._tenures) + 1), scratch
            ),
            scratch=scratch,
            lease=Lease(self._settings.session_timeout_seconds * LEASE_SHARE),
        )

    async def _take_over(self, tenure: Tenure) -> None:
        self._carry_out(tenure, await take_over(tenure, self._clients, self.alarms))
        self._log.info(
            LogEvent.PARTITION_STARTED,
            partition=tenure.partition,
            epoch=tenure.engine.epoch,
            parked=tenure.engine.parked,
        )

    def _share_bounds(self) -> None:
        for tenure in self._tenures.values():
            tenure.engine.bounds = share(self._settings, len(self._tenures))

    # Running.

    def _carry_out(self, tenure: Tenure, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Start(waiting=waiting):
                    self._starts.request(tenure, waiting)
                case WriteOutcome() | WritePark() | WriteSettle() | WriteDead():
                    self._writes.write(tenure, command)
                case Pause():
                    self._clients.subscription.pause(tenure.partition, tenure.number)
                case Read():
                    self._clients.subscription.resume(tenure.partition, tenure.number)
                case Claim() | Mark() | ReadBack():
                    raise TypeError(f"{command} belongs to a takeover")
                case _:
                    assert_never(command)

    def _incoming(self, record: ReceivedRecord) -> Waiting | Unreadable:
        """Read a record as an event; one that is unreadable is counted and named, and stops nothing."""
        try:
            event = from_record(record)
        except UnreadableRecord as error:
            self.unreadable += 1
            reports.unreadable(self.alarms, self._settings.topic, record, error)
            return Unreadable(offset=record.offset, record=record, reason=error.reason, error=str(error))
        return Waiting(offset=record.offset, lane=record.key or b"", size=record.size, event=event)

    def _ended(self, tenure: Tenure, waiting: Waiting, ending: Ending) -> None:
        """Tell the engine how the handling of an event ended."""
        commands = tenure.engine.call_ended(waiting, ending)
        self._report_doors(ending.result.error if isinstance(ending.result, Failed) else "")
        if isinstance(ending.result, Failed) and commands:  # else it is left to the next owner
            reports.failed(waiting, ending.attempts, ending.result, commands)
        self._carry_out(tenure, commands)

    def _written(self, tenure: Tenure, write: Write, position: int) -> None:
        """Tell the engine what is durable now."""
        engine = tenure.engine
        match write:
            case WriteOutcome(ended=ended):
                commands = engine.outcome_written(ended.offset, position)
                reports.ended(tenure.partition, ended)
            case WritePark(offset=offset):
                commands = engine.park_written(offset, position)
            case WriteSettle(offset=offset):
                commands = engine.settle_written(offset, position)
            case WriteDead(offset=offset):
                commands = engine.dead_written(offset)
                place = {"partition": tenure.partition, "offset": offset, "position": position}
                self.alarms.happened(LogEvent.DEAD_WRITTEN, **place)
            case _:
                assert_never(write)
        self._carry_out(tenure, commands)

    async def _commit(self) -> None:
        frontiers = _frontiers(self._tenures.values())
        if not frontiers:
            return
        sent_at = asyncio.get_running_loop().time()
        requests = [tenure.commit_request(committed) for tenure, committed in frontiers]
        try:
            taken = await self._clients.subscription.commit(requests)
        except CommitRefused as error:  # usual around a rebalance; the next one repeats it
            self._log.info(LogEvent.COMMIT_FAILED, error=str(error), partitions=len(requests))
            return
        for tenure, committed in frontiers:
            if tenure.number in taken:
                tenure.lease.renew(sent_at)
                tenure.committed = committed

    async def _trim(self) -> None:
        below = {tenure.partition: (tenure, end) for tenure in self._tenures.values() if (end := tenure.trimmable())}
        if not below:
            return
        try:
            ends = {partition: end for partition, (_, end) in below.items()}
            await self._clients.trimmer.trim(self._clients.topics.parked, ends)
        except Retryable as error:  # it costs room and a longer takeover, and nothing else
            self._log.warning(LogEvent.PARKED_KEPT, error=str(error), partitions=len(below))
            return
        for tenure, end in below.values():
            tenure.trimmed = end

    def reopen(self, tenants: Collection[str]) -> None:
        """Let the events of these tenants be called again: their configuration has changed."""
        self._policy.doors.open_all(tenants)
        self._starts.reopen(tenants)
        self._report_doors()

    # What is logged.

    def _report_doors(self, error: str = "") -> None:
        """Raise the alarm of a tenant on change, and not for each of its events."""
        for door, is_closed in self._policy.doors.take_changes():
            tenant, _, environment = door.decode().partition("/")
            about, fields = door.decode(), {"tenant": tenant, "environment": environment}
            if is_closed:
                self.alarms.raised(LogEvent.TENANT_MISCONFIGURED, about, error=error, **fields)
            else:
                self.alarms.cleared(LogEvent.TENANT_MISCONFIGURED, about, LogEvent.TENANT_RECOVERED, **fields)

    # Tasks, and what ends them all.

    def _now(self) -> int:
        return self._calls.milliseconds()

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


def _frontiers(tenures: Collection[Tenure]) -> Sequence[tuple[Tenure, Committed]]:
    """Ask the engines what may be committed; those that are still taking over, or are over, have nothing to commit."""
    running = [tenure for tenure in tenures if not tenure.over]
    return [(tenure, committed) for tenure in running if (committed := tenure.engine.committable) is not None]

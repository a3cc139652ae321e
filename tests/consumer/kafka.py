"""A Kafka in memory: the topics of a group, and clients that write, read, delete and commit as a test lets them."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from broker.history import History
from broker.log_reader import LogReader
from broker.log_trimmer import LogTrimmer
from broker.publisher import Position, Publisher
from broker.subscription import Assignment, CommitRefused, CommitRequest, Subscription
from consumer.clients import Clients
from schemas.dead import HEADER, DeadLetter
from schemas.errors import NotAcknowledged, Retryable, UnreadableRecord
from schemas.event import Event
from schemas.outcome import Ended, Taken, read_outcome, write_outcome
from schemas.parked import Park, Settle, read_note, write_note
from schemas.record import ReceivedRecord, Record, to_record
from schemas.topics import group_topics
from tests.consumer.fakes import received

TOPICS = group_topics("fuse.webhooks", "sync")


class GroupLogs:
    """The topics of a group; `low` has the earliest position of each partition that has not been deleted."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._outcomes: dict[int, list[Ended | Taken]] = defaultdict(list)
        self._notes: dict[int, list[Park | Settle | Taken]] = defaultdict(list)
        self.low: dict[tuple[str, int], int] = defaultdict(int)

    def append(self, topic: str, partition: int, record: Record) -> int:
        """Append, and give the position."""
        self._records[topic, partition].append(record)
        with suppress(UnreadableRecord):
            if topic == TOPICS.outcomes:
                self._outcomes[partition].append(read_outcome(record.value))
            elif topic == TOPICS.parked:
                self._notes[partition].append(read_note(received(record, partition, 0))[0])
        return len(self._records[topic, partition]) - 1

    def write(self, partition: int, *records: Ended | Taken) -> None:
        """Append outcomes and marks of the outcomes log, as another member would."""
        for record in records:
            self.append(TOPICS.outcomes, partition, Record(key=b"", value=write_outcome(record), headers=()))

    def note(self, note: Park | Settle | Taken, event: Event | None = None, partition: int = 0) -> None:
        """Append to the parked log, as another member would."""
        self.append(TOPICS.parked, partition, write_note(note, None if event is None else to_record(event)))

    def history(self, topic: str, partition: int) -> History:
        """Say what exists."""
        return History(low=self.low[topic, partition], high=len(self._records[topic, partition]))

    def stretch(self, topic: str, partition: int, positions: range) -> list[ReceivedRecord]:
        """Give what lies at some positions."""
        records = self._records[topic, partition]
        return [received(records[at], partition, at) for at in positions]

    def outcomes(self, partition: int = 0) -> list[Ended]:
        """Read the outcomes of events."""
        return [record for record in self._outcomes[partition] if isinstance(record, Ended)]

    def ended(self, partition: int = 0) -> list[tuple[int, str]]:
        """List the offsets that ended, and how."""
        return [(record.offset, record.outcome) for record in self.outcomes(partition)]

    def taken(self, partition: int = 0) -> list[tuple[int, str]]:
        """List the epochs of the marks in the outcomes log, and whose they are."""
        return [(mark.epoch, mark.member) for mark in self._outcomes[partition] if isinstance(mark, Taken)]

    def parks(self, partition: int = 0) -> list[Park]:
        """Read the notes of what was parked."""
        return [note for note in self._notes[partition] if isinstance(note, Park)]

    def journal(self, partition: int = 0) -> list[tuple[str, int]]:
        """List the parked log: a word, and an epoch for a mark, or the offset of an event."""
        return [
            (note.record, note.epoch if isinstance(note, Taken) else note.offset) for note in self._notes[partition]
        ]

    def dead(self, partition: int = 0) -> list[tuple[DeadLetter, Record]]:
        """Read the dead letters, and what was received."""
        return [_dead_letter(record) for record in self._records[TOPICS.dead, partition]]


def _dead_letter(record: Record) -> tuple[DeadLetter, Record]:
    *headers, (name, note) = record.headers
    assert name == HEADER
    letter = DeadLetter.model_validate_json(note or b"")
    return letter, Record(key=record.key, value=record.value, headers=tuple(headers))


@dataclass(slots=True, kw_only=True)
class OnTheWay:
    """A record on its way to the log."""

    topic: str
    partition: int
    record: Record
    acknowledged: asyncio.Future[Position]


class FakePublisher(Publisher):
    """Append to the logs at once, or when a test lets it: `hold` keeps writes back until `let_through`."""

    def __init__(self, logs: GroupLogs) -> None:
        self.logs = logs
        self._held: tuple[str, ...] = ()
        self.on_the_way: deque[OnTheWay] = deque()
        self.refusals: deque[Exception] = deque()
        """Raised by the next calls of `publish`."""
        self.failures: deque[Exception] = deque()
        """What the next writes come back with, instead of a position."""
        self.broken: set[str] = set()
        """Topics that take nothing."""

    def hold(self, *topics: str) -> None:
        """Keep back what is written to these topics; to all of them if none is named."""
        self._held = topics or (TOPICS.outcomes, TOPICS.parked, TOPICS.dead)

    def publish(self, topic: str, record: Record, *, partition: int = -1) -> asyncio.Future[Position]:
        """Write."""
        if self.refusals:
            raise self.refusals.popleft()
        acknowledged: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        write = OnTheWay(topic=topic, partition=partition, record=record, acknowledged=acknowledged)
        self.on_the_way.append(write)
        if topic not in self._held:
            asyncio.get_running_loop().call_soon(self._answer, write)
        return acknowledged

    def let_through(self) -> None:
        """Take what was held back, and everything from now on."""
        kept = [write for write in self.on_the_way if write.topic in self._held]
        self._held = ()
        for write in kept:
            self._answer(write)

    def _answer(self, write: OnTheWay) -> None:
        self.on_the_way.remove(write)
        failure = self._failure(write.topic)
        if failure is not None:
            if not write.acknowledged.done():
                write.acknowledged.set_exception(failure)
            return
        position = self.logs.append(write.topic, write.partition, write.record)
        if not write.acknowledged.done():  # else whoever asked has gone away, and the record lands all the same
            write.acknowledged.set_result(Position(partition=write.partition, offset=position))

    def _failure(self, topic: str) -> Exception | None:
        if topic in self.broken:
            return NotAcknowledged("broken")
        return self.failures.popleft() if self.failures else None


class FakeLogs(LogReader):
    """Read the logs in memory. `failures` are raised by the next readings, in the midst of them."""

    def __init__(self, logs: GroupLogs) -> None:
        self.logs = logs
        self.failures: deque[Exception] = deque()
        self.stalled = asyncio.Event()
        self.stalled.set()
        self.readings: list[tuple[str, range]] = []
        self.asked = 0
        """How often somebody wanted to know what exists."""

    async def history(self, topic: str, partition: int) -> History:
        """Say what exists."""
        self.asked += 1
        await self.stalled.wait()
        return self.logs.history(topic, partition)

    async def read(self, topic: str, partition: int, stretch: range) -> AsyncIterator[Sequence[ReceivedRecord]]:
        """Read, in batches of two; like the real one it cannot read what has expired."""
        self.readings.append((topic, stretch))
        if stretch and stretch.start < self.logs.low[topic, partition]:
            raise Retryable("offset out of range")
        for at in range(stretch.start, stretch.stop, 2):
            await self.stalled.wait()
            yield self.logs.stretch(topic, partition, range(at, min(at + 2, stretch.stop)))
            if self.failures:
                raise self.failures.popleft()

    def read_of(self, topic: str) -> list[range]:
        """List which stretches of a topic were read."""
        return [stretch for name, stretch in self.readings if name == topic]


class FakeTrimmer(LogTrimmer):
    """Delete from the logs in memory, or raise the next of `refusals`."""

    def __init__(self, logs: GroupLogs) -> None:
        self.logs = logs
        self.refusals: deque[Exception] = deque()
        self.asked: list[tuple[str, dict[int, int]]] = []

    async def trim(self, topic: str, below: Mapping[int, int]) -> None:
        """Delete."""
        self.asked.append((topic, dict(below)))
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.popleft()
        for partition, end in below.items():
            self.logs.low[topic, partition] = max(self.logs.low[topic, partition], end)


class FakeSubscription(Subscription):
    """Keep commits, and drop what comes from a past tenure, as the real one does."""

    def __init__(self) -> None:
        self.committed: dict[int, tuple[int, str]] = {}
        self.current: dict[int, int] = {}
        self.commits: list[CommitRequest] = []
        self.reading: dict[int, bool] = {}
        self.commands: list[tuple[str, int]] = []
        self.refusing = False
        self.silent = False
        self.fault: Exception | None = None
        self.begun = 0

    def assign(self, partition: int, *, start: int | None = None) -> Assignment:
        """Give a partition away as the group would, from what is committed."""
        self.begun += 1
        self.current[partition] = self.begun
        self.reading[partition] = False
        offset, metadata = self.committed.get(partition, (0, ""))
        return Assignment(
            partition=partition, tenure=self.begun, start=offset if start is None else start, metadata=metadata
        )

    def commit(self, requests: Sequence[CommitRequest]) -> asyncio.Future[frozenset[int]]:
        """Take commits, refuse them, say nothing, or break."""
        if self.fault is not None:
            raise self.fault
        answered: asyncio.Future[frozenset[int]] = asyncio.get_running_loop().create_future()
        if self.refusing:
            answered.set_exception(CommitRefused("rebalance in progress"))
        elif not self.silent:
            answered.set_result(frozenset(self.take(requests)))
        return answered

    def take(self, requests: Iterable[CommitRequest]) -> set[int]:
        """Keep the commits of tenures that have not passed."""
        held = [request for request in requests if self.current.get(request.partition) == request.tenure]
        for request in held:
            self.commits.append(request)
            self.committed[request.partition] = (request.offset, request.metadata)
        return {request.tenure for request in held}

    def pause(self, partition: int, tenure: int) -> None:
        """Stop reading."""
        self._read(partition, tenure, reading=False)

    def resume(self, partition: int, tenure: int) -> None:
        """Read."""
        self._read(partition, tenure, reading=True)

    def _read(self, partition: int, tenure: int, *, reading: bool) -> None:
        self.commands.append(("resume" if reading else "pause", partition))
        if self.current.get(partition) == tenure:
            self.reading[partition] = reading


class FakeKafka:
    """All clients of a member, on the same logs."""

    def __init__(self, logs: GroupLogs | None = None) -> None:
        self.logs = logs or GroupLogs()
        self.publisher = FakePublisher(self.logs)
        self.reader = FakeLogs(self.logs)
        self.trimmer = FakeTrimmer(self.logs)
        self.subscription = FakeSubscription()

    def clients(self) -> Clients:
        """Give them as a member wants them."""
        return Clients(
            subscription=self.subscription,
            publisher=self.publisher,
            logs=self.reader,
            trimmer=self.trimmer,
            topics=TOPICS,
        )

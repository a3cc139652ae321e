"""A Kafka in memory, a clock that jumps, and handlers that do as a test says."""

import asyncio
import selectors
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from broker.history import History
from broker.log_reader import LogReader
from broker.publisher import Position, Publisher
from broker.subscription import Assignment, CommitRefused, CommitRequest, Subscription
from consumer.handler import Context
from schemas.errors import Retryable, UnreadableRecord
from schemas.event import Environment, Event
from schemas.outcome import Applied, Ended, HandlerResult, Taken, read_outcome, write_outcome
from schemas.record import ReceivedRecord, Record, to_record
from schemas.settings import ConsumerSettings

T = TypeVar("T")
SYNC = "financial_connection.sync_data"
OUTCOMES = "fuse.webhooks.sync.outcomes"


class _JumpingSelector(selectors.SelectSelector):
    """Wait for no time at all: let the clock jump to when something is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give what is ready. Raises AssertionError when nothing can ever happen any more."""
        ready = super().select(0)
        assert ready or timeout is not None, "everybody waits for somebody else"
        if not ready and timeout:
            self.now += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.troubles: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.troubles.append(context))

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(story: Coroutine[Any, Any, T]) -> T:
    """Run a story in which hours of waiting pass at once; an exception that nobody catches fails it."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        told = runner.run(story)
        loop = runner.get_loop()
        assert isinstance(loop, _JumpingLoop)
        assert not loop.troubles
        return told


async def settle(is_so: Callable[[], object] = lambda: False) -> None:
    """Let everything run that can run now, without any time passing, or until something is so."""
    for _ in range(30):
        if is_so():
            return
        await asyncio.sleep(0)


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so; for a minute of virtual time at most."""
    async with asyncio.timeout(60):
        await settle(is_so)
        while not is_so():
            await asyncio.sleep(0.05)
            await settle(is_so)


def now() -> float:
    """Tell the loop's time."""
    return asyncio.get_running_loop().time()


def settings(**given: object) -> ConsumerSettings:
    """Give settings that read no environment."""
    return ConsumerSettings(
        **{  # type: ignore[arg-type] # validated by pydantic
            "kafka_bootstrap_servers": "127.0.0.1:1",
            "tenants_file": Path("tenants.toml"),
            "_env_file": None,
            **given,
        }
    )


def event(number: int = 0, **changes: Any) -> Event:  # noqa: ANN401 - any field of Event
    """Make an event."""
    made = Event(
        id=f"event-{number}",
        tenant="acme",
        environment=Environment.SANDBOX,
        type=SYNC,
        connection="one",
        aggregator="plaid",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        verification="c2lnbmF0dXJl",
        body=b'{"number": %d}' % number,
    )
    return replace(made, **changes)


def received(record: Record, partition: int, offset: int) -> ReceivedRecord:
    """Give a record as it is read from its place in a log."""
    return ReceivedRecord(
        partition=partition,
        offset=offset,
        timestamp=0.0,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def garbage(partition: int, offset: int) -> ReceivedRecord:
    """Give a record that is no event."""
    return ReceivedRecord(partition=partition, offset=offset, timestamp=0.0, key=None, value=b"?", headers=())


class OutcomesLog:
    """The outcomes topic in memory; `low` is the earliest position that has not expired."""

    def __init__(self) -> None:
        self._values: dict[int, list[bytes]] = defaultdict(list)
        self.low = 0

    def append(self, partition: int, value: bytes) -> int:
        """Append, and give the position."""
        self._values[partition].append(value)
        return len(self._values[partition]) - 1

    def write(self, partition: int, *records: Ended | Taken) -> None:
        """Append records, as another member would."""
        for record in records:
            self.append(partition, write_outcome(record))

    def high(self, partition: int) -> int:
        """Give the position behind the last record."""
        return len(self._values[partition])

    def stretch(self, partition: int, positions: range) -> list[ReceivedRecord]:
        """Give what lies at some positions."""
        values = self._values[partition]
        return [
            ReceivedRecord(partition=partition, offset=at, timestamp=0.0, key=b"", value=values[at], headers=())
            for at in positions
        ]

    def records(self, partition: int = 0) -> list[Ended | Taken]:
        """Read everything that can be read."""
        return [record for value in self._values[partition] if (record := _read(value)) is not None]

    def ended(self, partition: int = 0) -> list[tuple[int, str]]:
        """List the offsets that ended, and how."""
        return [(record.offset, record.outcome) for record in self.records(partition) if isinstance(record, Ended)]

    def taken(self, partition: int = 0) -> list[tuple[int, str]]:
        """List the epochs of the marks, and whose they are."""
        return [(record.epoch, record.member) for record in self.records(partition) if isinstance(record, Taken)]


def _read(value: bytes) -> Ended | Taken | None:
    try:
        return read_outcome(value)
    except UnreadableRecord:
        return None


@dataclass(slots=True, kw_only=True)
class Write:
    """A record on its way to the log."""

    partition: int
    value: bytes
    acknowledged: asyncio.Future[Position]


class FakePublisher(Publisher):
    """Append to the log at once, or when a test lets it: `held` keeps writes back until `let_through`."""

    def __init__(self, log: OutcomesLog) -> None:
        self.log = log
        self.held = False
        self.on_the_way: deque[Write] = deque()
        self.refusals: deque[Exception] = deque()
        """Raised by the next calls of `publish`."""
        self.failures: deque[Exception] = deque()
        """What the next writes come back with, instead of a position."""

    def publish(self, topic: str, record: Record, *, partition: int = -1) -> asyncio.Future[Position]:
        """Write."""
        assert topic == OUTCOMES
        if self.refusals:
            raise self.refusals.popleft()
        write = Write(partition=partition, value=record.value, acknowledged=asyncio.get_running_loop().create_future())
        self.on_the_way.append(write)
        if not self.held:
            asyncio.get_running_loop().call_soon(self._answer, write)
        return write.acknowledged

    def let_through(self) -> None:
        """Take what was held back, and everything from now on."""
        self.held = False
        for write in [*self.on_the_way]:
            self._answer(write)

    def _answer(self, write: Write) -> None:
        self.on_the_way.remove(write)
        if self.failures:
            failure = self.failures.popleft()
            if not write.acknowledged.done():
                write.acknowledged.set_exception(failure)
            return
        position = self.log.append(write.partition, write.value)
        if not write.acknowledged.done():  # else whoever asked has gone away, and the record lands all the same
            write.acknowledged.set_result(Position(partition=write.partition, offset=position))


class FakeLogs(LogReader):
    """Read the log in memory. `failures` are raised by the next readings, in the midst of them."""

    def __init__(self, log: OutcomesLog) -> None:
        self.log = log
        self.failures: deque[Exception] = deque()
        self.stalled = asyncio.Event()
        self.stalled.set()
        self.readings: list[range] = []

    async def history(self, topic: str, partition: int) -> History:
        """Say what exists."""
        assert topic == OUTCOMES
        await self.stalled.wait()
        return History(low=self.log.low, high=self.log.high(partition))

    async def read(self, topic: str, partition: int, stretch: range) -> AsyncIterator[Sequence[ReceivedRecord]]:
        """Read, in batches of two; like the real one it cannot read what has expired."""
        assert topic == OUTCOMES
        self.readings.append(stretch)
        if stretch and stretch.start < self.log.low:
            raise Retryable("offset out of range")
        for at in range(stretch.start, stretch.stop, 2):
            await self.stalled.wait()
            yield self.log.stretch(partition, range(at, min(at + 2, stretch.stop)))
            if self.failures:
                raise self.failures.popleft()


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


Step = HandlerResult | BaseException | Callable[[], Awaitable[HandlerResult]]


@dataclass(slots=True, kw_only=True)
class ScriptedHandler:
    """Handle each event as its script says, one step an attempt, and then apply it; note who is being handled."""

    scripts: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    attempts: list[tuple[str, int]] = field(default_factory=list)
    started_at: list[float] = field(default_factory=list)
    inside: set[str] = field(default_factory=set)
    cancelled: list[str] = field(default_factory=list)
    most: int = 0

    def hold(self, *names: str) -> None:
        """Keep calls of these events in flight until `release`."""
        for name in names:
            self.gates[name] = asyncio.Event()

    def release(self, *names: str) -> None:
        """Let these calls end."""
        for name in names:
            self.gates.pop(name).set()

    async def __call__(self, handled: Event, context: Context) -> HandlerResult:
        """Do the next step of the event's script."""
        assert handled.id not in self.inside
        self.attempts.append((handled.id, context.attempt))
        self.started_at.append(now())
        self.inside.add(handled.id)
        self.most = max(self.most, len(self.inside))
        try:
            await self._wait(handled.id)
            return await self._step(handled.id)
        finally:
            self.inside.discard(handled.id)

    async def _wait(self, name: str) -> None:
        gate = self.gates.get(name)
        if gate is None:
            await asyncio.sleep(0)
            return
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    async def _step(self, name: str) -> HandlerResult:
        step = self.scripts[name].popleft() if self.scripts[name] else Applied(status=200)
        if isinstance(step, BaseException):
            raise step
        if callable(step):
            return await step()
        return step


def records_of(events: Sequence[Event], partition: int = 0, start: int = 0) -> list[ReceivedRecord]:
    """Lay events into a partition, one after the other."""
    return [received(to_record(each), partition, start + at) for at, each in enumerate(events)]

"""A clock that jumps, events, and handlers that do as a test says."""

import asyncio
import selectors
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from consumer.handler import Context
from consumer.handling import Wait
from schemas.errors import DestinationDown
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult
from schemas.record import ReceivedRecord, Record, to_record
from schemas.settings import ConsumerSettings

T = TypeVar("T")
SYNC = "financial_connection.sync_data"
_EPOCH = 1_800_000_000.0
"""When every story begins, in seconds since the epoch: a while after its events were received."""


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
            self.now = round(self.now + timeout, 9)  # many short waits add up to what a test says
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


def clock() -> float:
    """Tell the time of day, which jumps with the loop's."""
    return _EPOCH + now()


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
    destinations: dict[str, str] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def destination(self, handled: Event) -> str | None:
        """Say whom a call is for: what the tenant's is, if it has one."""
        return self.destinations.get(handled.tenant)

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
            if self.destinations.get(handled.tenant) in self.down:
                raise DestinationDown("nobody answers")
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


class Patience:
    """Waits in place: for the lease, which holds unless one is given, and apart, which is no other place here."""

    def __init__(self, lease: Wait | None = None, apart: Callable[[Wait], Awaitable[None]] | None = None) -> None:
        self._lease = lease
        self._apart = apart

    @property
    def may_call(self) -> bool:
        """Whether the lease need not be waited for."""
        return self._lease is None

    async def lease(self) -> None:
        """Wait for the lease that was given."""
        if self._lease is not None:
            await self._lease()

    async def apart(self, wait: Wait) -> None:
        """Wait for something."""
        await (wait() if self._apart is None else self._apart(wait))


def records_of(events: Sequence[Event], partition: int = 0, start: int = 0) -> list[ReceivedRecord]:
    """Lay events into a partition, one after the other."""
    return [received(to_record(each), partition, start + at) for at, each in enumerate(events)]

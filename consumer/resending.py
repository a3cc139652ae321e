"""Re-sending: append planned events to the source, at most so many a second; what is acknowledged counts."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from broker.publisher import Bounds, Publisher
from consumer.watching import Watch
from schemas.event import Event
from schemas.record import to_record
from schemas.settings import ConsumerSettings
from schemas.topics import max_record_bytes

_CHUNK = 500
_CHUNK_BYTES = 8 * 1024 * 1024
_ACKNOWLEDGE_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What a replay or redrive did, or would do: events by tenant. `complete` is False if it was interrupted.

    `unreadable` counts the records that were meant too, but are no events; `unknown` the letters of which nobody can
    tell any more whether they were sent again, and `ended_otherwise` those whose event ended otherwise after all.
    """

    group: str
    replay: str
    dry_run: bool
    rate: float | None = None
    tenants: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    unknown: int = 0
    ended_otherwise: int = 0
    complete: bool = False

    @property
    def events(self) -> int:
        """Count the events."""
        return self.tenants.total()

    @property
    def seconds(self) -> float | None:
        """Say how long they take at the given rate; None where there is none."""
        return None if self.rate is None else self.events / self.rate


def carry_out(settings: ConsumerSettings, planned: Iterable[Event], report: Report, watch: Watch) -> None:
    """Count what is planned, and append it unless this is a dry run.

    KeyboardInterrupt ends it in order: what was sent is waited for and counted. Raises NotAcknowledged if Kafka does
    not take a record in time; to ask for the same again goes on where it ended, in either case.
    """
    try:
        if report.dry_run:
            report.tenants.update(event.tenant for event in planned)
        else:
            _append_all(settings, planned, report, watch)
        report.complete = True
    except KeyboardInterrupt:
        report.complete = False


def _append_all(settings: ConsumerSettings, planned: Iterable[Event], report: Report, watch: Watch) -> None:
    with _open_appender(settings, report) as appender:
        for chunk in chunks(planned):
            appender.append(chunk)
            watch("appended", report.events, 0)


def chunks(planned: Iterable[Event]) -> Iterator[Sequence[Event]]:
    """Part what is planned, so that neither the number nor the bytes of a part are large."""
    chunk: list[Event] = []
    size = 0
    for event in planned:
        chunk.append(event)
        size += len(event.body)
        if len(chunk) >= _CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class _Appender:
    def __init__(self, runner: asyncio.Runner, publisher: Publisher, topic: str, report: Report) -> None:
        self._runner = runner
        self._publisher = publisher
        self._topic = topic
        self._report = report
        self._due = 0.0

    def append(self, chunk: Sequence[Event]) -> None:
        """Append, and wait for every acknowledgement; count what is acknowledged, also when this is interrupted."""
        self._runner.run(self._append(chunk))

    async def _append(self, chunk: Sequence[Event]) -> None:
        acknowledgements = []
        try:
            for event in chunk:
                await self._pace()
                acknowledgements.append(asyncio.ensure_future(self._append_one(event)))
        finally:
            # Also when interrupted: what was handed over is in the log, or will be.
            if acknowledgements:
                await asyncio.wait(acknowledgements)
        for acknowledgement in acknowledgements:
            acknowledgement.result()

    async def _append_one(self, event: Event) -> None:
        """Append by the key, and not to where the event lay: its lane is elsewhere if partitions were added since."""
        await self._publisher.publish(self._topic, to_record(event))
        self._report.tenants[event.tenant] += 1

    async def _pace(self) -> None:
        if self._report.rate is not None:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, self._due - now))
            self._due = max(self._due, now) + 1 / self._report.rate


@contextmanager
def _open_appender(settings: ConsumerSettings, report: Report) -> Iterator[_Appender]:
    bounds = Bounds(
        messages=2 * _CHUNK,
        bytes=_CHUNK_BYTES + _CHUNK * 64 * 1024 + 2 * max_record_bytes(settings.max_body_bytes),
        deadline_seconds=_ACKNOWLEDGE_SECONDS,
        stop_seconds=_ACKNOWLEDGE_SECONDS,
    )
    publisher = Publisher(settings, bounds)
    with asyncio.Runner() as runner, ExitStack() as stack:
        runner.run(publisher.__aenter__())
        stack.callback(lambda: runner.run(publisher.__aexit__(None, None, None)))
        yield _Appender(runner, publisher, settings.topic, report)

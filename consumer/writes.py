"""Writes: everything an engine asks to be written is written, however often that has to be tried."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from broker.publisher import Position
from consumer.alarms import Alarms
from consumer.clients import Clients
from consumer.engine.commands import Write, WriteDead, WriteOutcome
from consumer.tenure import Pin, Tenure
from schemas.errors import QueueFull, Retryable, UnpublishableRecord
from schemas.record import Record
from schemas.telemetry import LogEvent

_WRITE_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """Write for tenures. `written` hears of each write that is acknowledged, `failed` of what can never be written.

    A write of a tenure that is over is not tried again, and nobody hears of it: its partition is somebody else's. `run`
    starts a task, for as long as it is in the set that it is given. While Kafka does not take a write of a partition
    the alarm `frontier.pinned` is on.
    """

    clients: Clients
    alarms: Alarms
    written: Callable[[Tenure, Write, int], None]
    failed: Callable[[BaseException], None]
    run: Callable[[Coroutine[Any, Any, None], set[asyncio.Task[None]]], object]

    def write(self, tenure: Tenure, write: Write) -> None:
        """Write, and try again for as long as the tenure lasts."""
        try:
            writing = self.clients.write(tenure.partition, write)
        except UnpublishableRecord as error:
            self._refused(tenure, write, error)
        except Retryable as error:
            self._not_written(tenure, write, error)
        else:
            tenure.writes.add(writing)
            writing.add_done_callback(partial(self._done, tenure, write))

    def _done(self, tenure: Tenure, write: Write, writing: asyncio.Future[Position]) -> None:
        tenure.writes.discard(writing)
        error = writing.exception()
        if tenure.over:
            return
        if error is None:
            self._freed(tenure, write)
            self.written(tenure, write, writing.result().offset)
        elif isinstance(error, UnpublishableRecord):
            self._refused(tenure, write, error)
        else:
            self._not_written(tenure, write, error)

    def _refused(self, tenure: Tenure, write: Write, error: UnpublishableRecord) -> None:
        """End the member; but what is too large for the dead letters is named there all the same, and stops nothing.

        A record may be larger for us than it was in the source, where it may have been compressed.
        """
        if not isinstance(write, WriteDead) or write.record.value is None:
            self.failed(error)
            return
        structlog.get_logger().error(
            LogEvent.DEAD_CUT, partition=tenure.partition, offset=write.offset, size=len(write.record.value)
        )
        note = write.record.headers[-1]
        self.write(tenure, WriteDead(offset=write.offset, record=Record(key=None, value=None, headers=(note,))))

    def _not_written(self, tenure: Tenure, write: Write, error: BaseException) -> None:
        """Write again what Kafka did not take: it pins the frontier of whoever holds the partition."""
        if not isinstance(error, QueueFull):
            pin = pin_of(write)
            tenure.pins[pin] = str(error)
            self.alarms.raised(
                LogEvent.FRONTIER_PINNED,
                str(tenure.partition),
                partition=tenure.partition,
                offset=pin.offset,
                write=pin.write,
                error=str(error),
            )
        self.run(self._write_later(tenure, write), tenure.rewrites)

    def _freed(self, tenure: Tenure, write: Write) -> None:
        if tenure.pins:
            tenure.pins.pop(pin_of(write), None)
            if not tenure.pins:
                self.forget(tenure.partition)

    def forget(self, partition: int) -> None:
        """Clear the alarm of a partition: everything is written, or somebody else has to."""
        self.alarms.cleared(LogEvent.FRONTIER_PINNED, str(partition), LogEvent.FRONTIER_FREED, partition=partition)

    async def _write_later(self, tenure: Tenure, write: Write) -> None:
        await asyncio.sleep(_WRITE_AGAIN_SECONDS)
        self.write(tenure, write)


def pin_of(write: Write) -> Pin:
    """Name a write, by the source offset of the event that it is about."""
    offset = write.ended.offset if isinstance(write, WriteOutcome) else write.offset
    return Pin(offset=offset, write=type(write).__name__)

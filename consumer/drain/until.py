"""Waiting for a layout: until the old one is drained, and until somebody extends the source of a running group."""

import asyncio

import structlog

from broker.layout import Layout
from broker.log_reader import LogReader
from broker.topic_check import DRAIN_COMMAND
from consumer.drain.look import Drain, begin_drain, find_late, look
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

_LOOK_SECONDS = 1.0
_REPORT_SECONDS = 10.0

_log = structlog.get_logger()


async def until_extended(logs: LogReader, topic: str, layout: Layout) -> None:
    """Look regularly at the source, for ever; raise ConfigurationError once it has more partitions than `layout`.

    Whoever goes on then would handle what was moved in before what has to end first.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            partitions = await logs.partitions(topic)
        except Retryable:  # whoever reads or writes says so already
            continue
        _check_source(topic, partitions, layout)


async def until_drained(settings: ConsumerSettings, layout: Layout) -> None:
    """Look regularly until the group has nothing left of the old layout, or somebody else has found that out.

    Says what is left, and what came too late to be kept in order. Raises ConfigurationError if the source is extended
    again meanwhile, and UnreadableRecord for records of a later version than this release knows.
    """
    drain = begin_drain(layout)
    reported_at: float | None = None
    while True:
        try:
            now = await asyncio.to_thread(look, settings, drain)
            _check_source(settings.topic, now.new, layout)
            if now.old >= layout.new:
                return
            if all(progress.is_drained for progress in drain.values()):
                await _finish(settings, layout, drain)
                return
            reported_at = _report(layout, drain, reported_at)
        except Retryable as error:
            _log.warning(LogEvent.DRAIN_DELAYED, error=str(error))
        await asyncio.sleep(_LOOK_SECONDS)


def _check_source(topic: str, partitions: int, layout: Layout) -> None:
    if partitions > layout.new:
        fault = (
            f"topic {topic}: has {partitions} partitions now, and had {layout.new} when this member started: keys have "
            f"moved, and what was written before has to end first; start every member with: {DRAIN_COMMAND}"
        )
        raise ConfigurationError([fault])


async def _finish(settings: ConsumerSettings, layout: Layout, drain: Drain) -> None:
    for number, late in (await asyncio.to_thread(find_late, settings, layout, drain)).items():
        _log.warning(LogEvent.EVENTS_MISPLACED, partition=number, count=late.count, first_offsets=late.first)
    _log.info(LogEvent.DRAIN_FINISHED, partitions=layout.new)


def _report(layout: Layout, drain: Drain, reported_at: float | None) -> float:
    """Say what is left, at once and then at times; give when that was done last."""
    now = asyncio.get_running_loop().time()
    if reported_at is not None and now < reported_at + _REPORT_SECONDS:
        return reported_at
    left = [
        {"partition": number, "left": progress.left, "parked": progress.parked}
        for number, progress in drain.items()
        if not progress.is_drained
    ]
    event = LogEvent.DRAIN_BEGUN if reported_at is None else LogEvent.DRAIN_MEASURED
    _log.info(event, old=layout.old, new=layout.new, partitions=left)
    return now

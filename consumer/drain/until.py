"""Waiting for a layout: until the old one is drained, and until somebody extends the source of a running group."""

import asyncio
from collections.abc import Mapping

import structlog

from broker.layout import Layout
from broker.log_reader import LogReader
from broker.topic_check import DRAIN_COMMAND
from consumer.drain.look import Drain, begin_drain, find_late, look
from consumer.drain.progress import Late
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

_LOOK_SECONDS = 1.0
_REPORT_SECONDS = 10.0

_START_AGAIN = (
    "stop the ingresses, all other publishers and every member, start the ingresses again, and then every member with: "
    f"{DRAIN_COMMAND}"
)

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


async def until_drained(settings: ConsumerSettings, layout: Layout) -> Mapping[int, Late]:
    """Look regularly until the group has nothing left of the old layout, or somebody else has found that out.

    Says what is left. Gives, by partition, where events that came too late are yet to be looked for; nothing if it was
    somebody else, who does that. Raises ConfigurationError if the source is extended again meanwhile, and
    UnreadableRecord for records of a later version than this release knows.
    """
    drain = begin_drain(layout)
    reported_at: float | None = None
    while True:
        try:
            now = await asyncio.to_thread(look, settings, drain)
            _check_source(settings.topic, now.new, layout)
            if now.old >= layout.new:
                return {}
            if all(progress.is_drained for progress in drain.values()):
                _log.info(LogEvent.DRAIN_FINISHED, partitions=layout.new)
                return {number: Late(layout, number, progress.boundary) for number, progress in drain.items()}
            reported_at = _report(layout, drain, reported_at)
        except Retryable as error:
            _log.warning(LogEvent.DRAIN_DELAYED, error=str(error))
        await asyncio.sleep(_LOOK_SECONDS)


async def tell_late(settings: ConsumerSettings, behind: Mapping[int, Late]) -> None:
    """Read on behind the boundaries, and say what came too late to be kept in order.

    It is for people, and nothing depends on it: it goes on beside a member that runs, a look each second, and whoever
    cancels it waits for no more than the look that is under way.
    """
    while not all(late.is_read for late in behind.values()):
        try:
            await asyncio.to_thread(find_late, settings, behind)
        except Retryable as error:
            _log.warning(LogEvent.DRAIN_DELAYED, error=str(error))
        await asyncio.sleep(_LOOK_SECONDS)
    for number, late in behind.items():
        if late.count:
            _log.warning(LogEvent.EVENTS_MISPLACED, partition=number, count=late.count, first_offsets=late.first)


def _check_source(topic: str, partitions: int, layout: Layout) -> None:
    """Refuse more partitions than a layout has; one that moves keys is being drained."""
    if partitions <= layout.new:
        return
    says = f"topic {topic}: has {partitions} partitions now, and had {layout.new} when this member started"
    why = (
        "it was extended again before the group had drained, and between the two extensions the order of connections "
        "that move cannot be kept; never extend a topic again before a drain has finished"
        if layout.moves_keys
        else "keys have moved, and what was written before has to end first"
    )
    raise ConfigurationError([f"{says}: {why}; {_START_AGAIN}"])


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

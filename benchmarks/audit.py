"""How fast the audit reads: `python -m benchmarks.audit`.

Lets events and their outcomes lie on a real Kafka, and alternates between two ways to read both topics to their ends:
a plain `consume(10_000)` that looks at nothing, which is the yardstick, and the audit.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from benchmarks.member import event, settings_for
from benchmarks.ports import forget_peak, peak_mib
from benchmarks.result import Repetition, Series, add_output, hand_over
from broker.client import consumer
from broker.embedded import EmbeddedKafka
from broker.publisher import Bounds, Position, Publisher
from broker.topics import ensure_topics
from consumer.audit import audit
from schemas.event import Event
from schemas.outcome import Ended, OutcomeKind, write_outcome
from schemas.record import Record, to_record
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics

_PADDING = "x" * 600
_PARTITIONS = 12
_AT_ONCE = 20_000
_PLAIN = "plain consume"
_BOUNDS = Bounds(messages=2 * _AT_ONCE, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as directory:
        settings = settings_for(kafka.bootstrap_servers, 1, Path(directory), topic_partitions=_PARTITIONS)
        asyncio.run(_fill(settings, options.events))
        plain: list[Repetition] = []
        ours: list[Repetition] = []
        for _ in range(options.repetitions):
            plain.append(_measured(_plain, settings, options.events))
            ours.append(_measured(_audit, settings, options.events))
            print(f"plain {plain[-1].value:,.0f}/s, audit {ours[-1].value:,.0f}/s", file=sys.stderr, flush=True)
    series = [
        Series(name=_PLAIN, unit="records/s", repetitions=plain),
        Series(name="audit", unit="records/s", repetitions=ours, beside=_PLAIN),
    ]
    hand_over("audit", __doc__, series, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events, each with an outcome (default: 200,000)")
    parser.add_argument("--repetitions", type=int, default=5, help="of one reading of each kind (default: 5)")
    add_output(parser)
    return parser


async def _fill(settings: ConsumerSettings, count: int) -> None:
    await ensure_topics(settings)
    outcomes = group_topics(settings.topic, settings.group).outcomes
    async with Publisher(settings, _BOUNDS) as publisher:
        events = _events(count)
        while batch := list(islice(events, _AT_ONCE)):
            waiting = [publisher.publish(settings.topic, to_record(each)) for each in batch]
            places = await asyncio.gather(*waiting)
            await asyncio.gather(
                *(
                    publisher.publish(outcomes, _outcome(each, place), partition=place.partition)
                    for each, place in zip(batch, places, strict=True)
                )
            )


def _events(count: int) -> Iterator[Event]:
    for number in range(count):
        yield event(f"connection-{number % 10_000}", f'{{"number":{number},"padding":"{_PADDING}"}}'.encode())


def _outcome(ended: Event, place: Position) -> Record:
    received = int(ended.received_at.timestamp() * 1000)
    record = Ended(
        offset=place.offset,
        id=ended.id,
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        status=200,
        received=received,
        called=received + 1,
        ended=received + 2,
        epoch=1,
        member="benchmark",
    )
    return Record(key=b"", value=write_outcome(record), headers=())


def _measured(read: Callable[[ConsumerSettings, int], None], settings: ConsumerSettings, events: int) -> Repetition:
    """Measure a reading of so many events and their outcomes."""
    forget_peak()
    began, cpu = time.monotonic(), time.process_time()
    read(settings, events)
    records, seconds, spent = 2 * events, time.monotonic() - began, time.process_time() - cpu
    return Repetition(
        value=records / seconds, cpu_seconds_per_1000=1000 * spent / records, peak_mib=peak_mib(os.getpid())
    )


def _plain(settings: ConsumerSettings, events: int) -> None:
    topics = [settings.topic, group_topics(settings.topic, settings.group).outcomes]
    client = consumer(settings, {"group.id": "benchmark"})
    client.assign(_beginnings(topics))
    read = 0
    while read < 2 * events:
        read += len(client.consume(10_000, 0.1))
    client.close()


def _beginnings(topics: Sequence[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in topics for number in range(_PARTITIONS)]


def _audit(settings: ConsumerSettings, events: int) -> None:
    counts = audit(settings).counts
    if counts.applied != events:
        raise AssertionError(f"{counts} of {events} events")


if __name__ == "__main__":
    main()

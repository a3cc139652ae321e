"""How fast the audit reads: `python -m benchmarks.audit`.

Lets events and their outcomes lie on a real Kafka, and alternates between two ways to read both topics to their ends:
a plain `consume(10_000)` that looks at nothing, and the audit. The ratio is that of their medians: 1 is as fast.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from benchmarks.member import event, settings_for
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
_BOUNDS = Bounds(messages=2 * _AT_ONCE, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)


def main() -> None:
    """Measure; print JSON for machines to standard output, and what goes on to standard error."""
    options = _parser().parse_args()
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as directory:
        settings = settings_for(kafka.bootstrap_servers, 1, Path(directory), topic_partitions=_PARTITIONS)
        asyncio.run(_fill(settings, options.events))
        times: dict[str, list[float]] = {"plain": [], "audit": []}
        for _ in range(options.rounds):
            times["plain"].append(_plain(settings, 2 * options.events))
            times["audit"].append(_audit(settings, options.events))
            print(f"plain {times['plain'][-1]:.2f} s, audit {times['audit'][-1]:.2f} s", file=sys.stderr, flush=True)
    medians = {name: statistics.median(each) for name, each in times.items()}
    report = {
        "events": options.events,
        "seconds": times,
        "ratio_of_medians": medians["plain"] / medians["audit"],
        "records_per_second": {name: 2 * options.events / median for name, median in medians.items()},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(report, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="events, each with an outcome (default: 300,000)")
    parser.add_argument("--rounds", type=int, default=5, help="of one reading of each kind (default: 5)")
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


def _plain(settings: ConsumerSettings, records: int) -> float:
    began = time.monotonic()
    topics = [settings.topic, group_topics(settings.topic, settings.group).outcomes]
    client = consumer(settings, {"group.id": "benchmark"})
    client.assign(_beginnings(topics))
    read = 0
    while read < records:
        read += len(client.consume(10_000, 0.1))
    client.close()
    return time.monotonic() - began


def _beginnings(topics: Sequence[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in topics for number in range(_PARTITIONS)]


def _audit(settings: ConsumerSettings, events: int) -> float:
    began = time.monotonic()
    counts = audit(settings).counts
    if counts.applied != events:
        raise AssertionError(f"{counts} of {events} events")
    return time.monotonic() - began


if __name__ == "__main__":
    main()

"""What parked events cost a member, and what takeovers cost: `python -m benchmarks.parked`.

Lets events of connections that always fail wait on a real Kafka, and a member park them: how fast, and with how much
memory. Then it is killed, and the next ones take over: how long that takes, with and without what is parked, and where
one event of each partition has held the frontier for so long that as many outcomes have to be read back. Last, how
long healthy events wait from being sent until they are called, with and without one connection in ten failing, and
beside a hot connection with 50,000 events, which are more than its lane holds; these runs alternate.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.member import (
    PATIENCE_SECONDS,
    Member,
    ask,
    distinct_events,
    event,
    lean_fuse,
    publish,
    running,
    settings_for,
    wait_for_calls,
)
from benchmarks.ports import cores, cpu_seconds
from benchmarks.result import Repetition, Series, add_output, hand_over
from broker.embedded import EmbeddedKafka
from broker.partitioner import partition_of
from broker.publisher import Bounds, Publisher
from broker.topics import ensure_topics
from schemas.event import Event
from schemas.record import to_record
from schemas.settings import ConsumerSettings
from schemas.topics import consumer_group_id

_PADDING = "x" * 900
_PARTITIONS = 12
_WARM_SECONDS = 2.0
_IMPATIENT = {"retry_attempts": 1, "parked_initial_seconds": 3600.0, "parked_max_seconds": 7200.0}
_PATIENT = {"retry_attempts": 100, "retry_initial_seconds": 3600.0, "retry_max_seconds": 3600.0, "retry_seconds": 1e6}
"""So that an event that fails keeps its place in its lane, and the frontier with it."""


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    other_cores, member_cores = cores()
    with EmbeddedKafka() as kafka, lean_fuse(0.05, other_cores) as port, tempfile.TemporaryDirectory() as directory:
        site = (kafka.bootstrap_servers, port, Path(directory))
        series = [part for measure in (_parked, _unread, _latencies) for part in measure(site, options, member_cores)]
    hand_over("parked", __doc__, series, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parked", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events to park (default: 200,000)")
    parser.add_argument("--connections", type=int, default=10_000, help="of as many connections (default: 10,000)")
    parser.add_argument("--rate", type=float, default=200.0, help="events per second in the second part (default: 200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run of the second part (default: 20)")
    parser.add_argument("--repetitions", type=int, default=5, help="of takeovers and of the second part (default: 5)")
    add_output(parser)
    return parser


Site = tuple[str, int, Path]


def _parked(site: Site, options: argparse.Namespace, on: set[int]) -> Iterator[Series]:
    servers, port, folder = site
    settings = settings_for(servers, port, folder, topic_partitions=_PARTITIONS, max_in_flight=2_000, **_IMPATIENT)
    asyncio.run(ensure_topics(settings))
    empty = _takeovers(settings, folder, options.repetitions, on)
    asyncio.run(publish(settings, _failing(options)))
    with running(settings, on, folder) as member:
        parking = _park(settings, member, options.events)
        member.kill()
    full = _takeovers(settings, folder, options.repetitions, on)
    yield Series(name="parking", unit="events/s", repetitions=[parking])
    yield Series(name="takeover, nothing parked", unit="s", repetitions=empty)
    yield Series(name=f"takeover, {options.events:,} parked", unit="s", repetitions=full)


def _unread(site: Site, options: argparse.Namespace, on: set[int]) -> Iterator[Series]:
    servers, port, folder = site
    settings = settings_for(servers, port, folder, topic_partitions=_PARTITIONS, max_in_flight=2_000, **_PATIENT)
    asyncio.run(publish(settings, chain(_one_of_each_partition(), distinct_events(options.events))))
    calls = int(ask(port, "count")) + _PARTITIONS + options.events
    with running(settings, on, folder) as member:
        wait_for_calls(port, calls)
        member.kill()
    takeovers = _takeovers(settings, folder, options.repetitions, on)
    yield Series(name=f"takeover, {options.events:,} outcomes to read back", unit="s", repetitions=takeovers)


def _one_of_each_partition() -> Iterator[Event]:
    """Make events that fail, one for each partition."""
    events = (event(f"stuck-{number}", b'{"fails":1}') for number in range(20 * _PARTITIONS))
    found = {partition_of(to_record(each).key or b"", _PARTITIONS): each for each in events}
    yield from found.values()


def _park(settings: ConsumerSettings, member: Member, events: int) -> Repetition:
    began, cpu = time.monotonic(), cpu_seconds(member.pid)
    _wait_until_settled(settings, events)
    seconds, spent = time.monotonic() - began, cpu_seconds(member.pid) - cpu
    _say(f"{events} parked within {seconds:.1f} s")
    return Repetition(value=events / seconds, cpu_seconds_per_1000=1000 * spent / events, peak_mib=member.peak_mib())


def _takeovers(settings: ConsumerSettings, folder: Path, count: int, on: set[int]) -> Sequence[Repetition]:
    """Let one member after the other take over; nothing remains of one but what is in Kafka."""
    found = []
    for _ in range(count):
        with running(settings, on, folder) as member:
            seconds = _takeover_seconds(member)
            found.append(Repetition(value=seconds, peak_mib=member.peak_mib()))
        _say(f"takeover: {seconds:.2f} s")
    return found


def _failing(options: argparse.Namespace) -> Iterator[Event]:
    for number in range(options.events):
        body = f'{{"fails":{number},"padding":"{_PADDING}"}}'.encode()
        yield event(f"failing-{number % options.connections}", body)


def _takeover_seconds(member: Member) -> float:
    """Measure from the first assignment to the start of the last partition, as the member logs it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(started := member.lines("partition.started")) < _PARTITIONS:
        if time.monotonic() > deadline:
            raise TimeoutError("the member does not take over")
        time.sleep(0.1)
    assigned = min(_time(line) for line in member.lines("partition.assigned"))
    return max(_time(line) for line in started) - assigned


def _time(line: dict[str, object]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def _wait_until_settled(settings: ConsumerSettings, events: int) -> None:
    reader = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": consumer_group_id(settings.topic, settings.group),
        }
    )
    places = [TopicPartition(settings.topic, number) for number in range(_PARTITIONS)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    settled = 0
    while settled < events:
        if time.monotonic() > deadline:
            raise TimeoutError("not everything is settled")
        time.sleep(0.2)
        with suppress(KafkaException):  # a fresh cluster takes a while to agree on who coordinates the group
            settled = sum(max(0, place.offset) for place in reader.committed(places, 10))
    reader.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What healthy events share a member with: a share of connections that fail, and events of a hot one."""

    failing: float = 0.0
    hot: int = 0


_HEALTHY = "all healthy"
_TROUBLES = {
    _HEALTHY: Trouble(),
    "one in ten fails": Trouble(failing=0.1),
    "a hot connection": Trouble(hot=50_000),
}


def _latencies(site: Site, options: argparse.Namespace, on: set[int]) -> Iterator[Series]:
    found: dict[str, list[Latency]] = {name: [] for name in _TROUBLES}
    for _ in range(options.repetitions):
        for name, trouble in _TROUBLES.items():
            latency = _latency(site, options, trouble, on)
            found[name].append(latency)
            _say(f"{name}: from sent to called p50 {1000 * latency.p50:.0f} ms, p99 {1000 * latency.p99:.0f} ms")
    for name, latencies in found.items():
        healthy = None if name == _HEALTHY else f"p99, {_HEALTHY}"
        yield Series(name=f"p50, {name}", unit="ms", repetitions=[_ms(each.p50) for each in latencies])
        yield Series(name=f"p99, {name}", unit="ms", repetitions=[_ms(each.p99) for each in latencies], beside=healthy)


def _ms(seconds: float) -> Repetition:
    return Repetition(value=1000 * seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds from being sent to being called, of healthy events."""

    p50: float
    p99: float


def _latency(site: Site, options: argparse.Namespace, trouble: Trouble, on: set[int]) -> Latency:
    servers, port, folder = site
    settings = settings_for(servers, port, folder, topic_partitions=_PARTITIONS, max_in_flight=1_000)
    hot = (event("hot", f'{{"hot":{number},"padding":"{_PADDING}"}}'.encode()) for number in range(trouble.hot))
    asyncio.run(publish(settings, hot))
    with running(settings, on, folder) as member:
        _takeover_seconds(member)
        _wait_until_settled(settings, trouble.hot - 1)
        ask(port, "latencies")
        asyncio.run(_send_steadily(settings, options, trouble.failing))
        time.sleep(2.0)
    latencies = sorted(latency for _, latency in json.loads(ask(port, "latencies")))
    return Latency(p50=statistics.median(latencies), p99=latencies[int(len(latencies) * 0.99)])


async def _send_steadily(settings: ConsumerSettings, options: argparse.Namespace, failing: float) -> None:
    """Send at a fixed rate, whatever comes of it: an open loop. What is sent while the sender warms up does not count.

    Its first records wait for its connection to Kafka, which would be all that the 99th percentile shows.
    """
    bounds = Bounds(messages=100_000, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)
    warm, count, connections = int(options.rate * _WARM_SECONDS), int(options.rate * options.seconds), 2_000
    async with Publisher(settings, bounds) as publisher:
        began = time.monotonic()
        for number in range(warm + count):
            await asyncio.sleep(max(0.0, began + number / options.rate - time.monotonic()))
            connection = number * 7_919 % connections
            mark = '"fails":1,' if connection < failing * connections else ""
            sent = "at" if number >= warm else "warm"
            body = f'{{{mark}"{sent}":{time.time():.6f},"padding":"{_PADDING}"}}'.encode()
            publisher.publish(settings.topic, to_record(event(f"connection-{connection}", body)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""How fast one consumer member makes sync calls, beside a bare aiohttp client: `python -m benchmarks.consumer`.

The bare client calls the same lean Fuse at the same concurrency without Kafka, through aiohttp's session as most people
do. The member reads events that wait on a real Kafka, in order per key, and writes every outcome; it has no session,
and so can be faster. The client under test has a core of its own, where there are two; Kafka and the lean Fuse share
the other. Neither start nor end counts, on either side.
With Zipf keys the n-th connection has a share in proportion to 1/n, so that hot lanes fill up and are parked. There the
ceiling is a bare client that knows all events from the start and keeps their order as well: of one connection no call
may begin before the last has been answered, and soon only the hot ones are left.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.member import (
    PATIENCE_SECONDS,
    event,
    lean_fuse,
    publish,
    running,
    settings_for,
    watch,
)
from benchmarks.ports import cores
from benchmarks.result import Repetition, Series, add_output, hand_over
from benchmarks.sync_calls import BODY
from benchmarks.zipf import connections
from broker.embedded import EmbeddedKafka
from schemas.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Calls in flight at once, the seconds that Fuse takes for one, and whether some connections are hot."""

    in_flight: int
    delay: float = 0.05
    zipf: bool = False

    @property
    def name(self) -> str:
        """Say it in words."""
        return f"{self.in_flight:,} in flight, {1000 * self.delay:.0f} ms{', Zipf keys' if self.zipf else ''}"


VARIANTS: Mapping[str, Variant] = {
    "100": Variant(in_flight=100),
    "500": Variant(in_flight=500),
    "2000": Variant(in_flight=2_000),
    "5000": Variant(in_flight=5_000),
    "zipf": Variant(in_flight=2_000, zipf=True),
    "fast": Variant(in_flight=500, delay=0.005),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a variant is measured: Kafka, the port of its lean Fuse, and the cores of the client."""

    servers: str
    port: int
    on: set[int]


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    variants = [VARIANTS[name] for name in options.variant or VARIANTS]
    other_cores, client_cores = cores()
    bare: dict[Variant, list[Repetition]] = {variant: [] for variant in variants}
    ours: dict[Variant, list[Repetition]] = {variant: [] for variant in variants}
    with EmbeddedKafka() as kafka, ExitStack() as fuses:
        ports = {delay: fuses.enter_context(lean_fuse(delay, other_cores)) for delay in {v.delay for v in variants}}
        for variant in variants * options.repetitions:
            site = Site(servers=kafka.bootstrap_servers, port=ports[variant.delay], on=client_cores)
            bare[variant].append(_bare(site, variant, options))
            ours[variant].append(_member(site, variant, options))
            _say(f"{variant.name}: {bare[variant][-1].value:,.0f}/s bare, {ours[variant][-1].value:,.0f}/s ours")
    hand_over("consumer", __doc__, [*_series(bare, ours)], options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consumer", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of each side (default: 5)")
    parser.add_argument(
        "--variant", action="append", choices=VARIANTS, help="only this; may be repeated (default: all)"
    )
    parser.add_argument("--events", type=int, default=12_000, help="events that count, each time (default: 12,000)")
    parser.add_argument("--keys", type=int, default=20_000, help="different connections (default: 20,000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the bare client that count (default: 2)")
    add_output(parser)
    return parser


def _series(
    bare: Mapping[Variant, Sequence[Repetition]], ours: Mapping[Variant, Sequence[Repetition]]
) -> Iterator[Series]:
    for variant in bare:
        yardstick = f"bare client, {variant.name}"
        yield Series(name=yardstick, unit="calls/s", repetitions=bare[variant])
        yield Series(name=f"consumer, {variant.name}", unit="calls/s", repetitions=ours[variant], beside=yardstick)


def _bare(site: Site, variant: Variant, options: argparse.Namespace) -> Repetition:
    command = [sys.executable, "-m", "benchmarks.bare_client", str(site.port), str(variant.in_flight)]
    if variant.zipf:
        return _bare_in_order(site, variant, options, command)
    process = subprocess.Popen([*command, "--seconds", str(options.seconds)], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, site.on)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return Repetition.model_validate(json.loads(output))


def _bare_in_order(site: Site, variant: Variant, options: argparse.Namespace, command: Sequence[str]) -> Repetition:
    """Watch the same stretch of the same events as the member's."""
    events, margin = _events_for(variant, options)
    process = subprocess.Popen([*command, "--zipf", str(events), str(options.keys)])
    os.sched_setaffinity(process.pid, site.on)
    try:
        return watch(process.pid, site.port, margin, events - margin)
    finally:
        process.terminate()
        process.wait()


def _events_for(variant: Variant, options: argparse.Namespace) -> tuple[int, int]:
    """Say how many events there are, and how many of them at the start and at the end do not count."""
    margin = 2 * variant.in_flight
    return options.events + 2 * margin, margin


def _member(site: Site, variant: Variant, options: argparse.Namespace) -> Repetition:
    """Let events wait on a fresh topic, then start a member and watch the middle of its work."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        settings = settings_for(site.servers, site.port, folder, max_in_flight=variant.in_flight, log_level="error")
        events, margin = _events_for(variant, options)
        asyncio.run(publish(settings, _events(events, options.keys, zipf=variant.zipf)))
        with running(settings, site.on, folder) as member:
            return watch(member.pid, site.port, margin, events - margin)


def _events(count: int, keys: int, *, zipf: bool) -> Iterator[Event]:
    """Make events whose bodies all differ: of two equal ones that wait in a lane only one is called."""
    of = connections(count, keys) if zipf else [number % keys for number in range(count)]
    for number in range(count):
        yield event(f"connection-{of[number]}", BODY + b" " * (number // keys) + (b"\n%d" % number if zipf else b""))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

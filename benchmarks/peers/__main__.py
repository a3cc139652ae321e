"""Ours beside what people write with well-known libraries: `python -m benchmarks.peers`, or `make bench-peers`.

Each of the others' programs, which lie in `benchmarks/peers/`, alternates with ours: on the same core, with the same
Kafka, the same lean Fuse that takes 50 ms, and bodies of 1 KiB. The ratio is that of ours to theirs just before. Their
ingress is FastAPI under uvicorn, with the signature checked and one acknowledged send of aiokafka per webhook. Their
consumers keep the order of each of 12 partitions, by one call at a time in each; ours keeps that of each connection.
They promise less otherwise: no second attempt, no outcomes, nothing parked.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingress import API_KEY, Variant, measure, tenants_file, webhooks
from benchmarks.load import drive
from benchmarks.member import distinct_events, lean_fuse, publish, running, settings_for, watch
from benchmarks.ports import cores, free_port
from benchmarks.result import Repetition, Series, add_output, hand_over
from benchmarks.server import Server, ingress, serving
from benchmarks.sync_calls import HEADERS, PATH
from broker.embedded import EmbeddedKafka
from schemas.settings import ConsumerSettings

_PROGRAMS = "benchmarks.peers"
_PYTHON = Path(".venv-peers/bin/python")
_PACKAGES = ("aiokafka", "fastapi", "uvicorn", "faststream")
_TOPIC = "benchmark.ingress"
_WEBHOOKS = Variant()
_FUSE_SECONDS = 0.05
_PARTITIONS = 12
_ASKS_FOR_VERSIONS = """\
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A consumer of others: what it is called, and its module here."""

    name: str
    module: str


_CONSUMERS = (
    Peer(name="aiokafka", module="aiokafka_consumer"),
    Peer(name="FastStream", module="faststream_consumer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where all are measured: Kafka, the port of the lean Fuse, a folder, and the cores of whoever is measured."""

    servers: str
    fuse: int
    folder: Path
    on: set[int]


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    versions = _versions(options.python)
    other_cores, on = cores()
    os.sched_setaffinity(0, other_cores)
    with (
        EmbeddedKafka() as kafka,
        lean_fuse(_FUSE_SECONDS, other_cores) as fuse,
        tempfile.TemporaryDirectory() as folder,
    ):
        site = Site(servers=kafka.bootstrap_servers, fuse=fuse, folder=Path(folder), on=on)
        series = [*_ingresses(site, options), *_consumers(site, options)]
    hand_over("peers", __doc__, series, options.output, versions)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--python", type=Path, default=_PYTHON, help=f"that has the others (default: {_PYTHON})")
    parser.add_argument("--repetitions", type=int, default=5, help="of each pair (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each repetition of an ingress (default: 2)")
    parser.add_argument("--connections", type=int, default=128, help="requests under way at once (default: 128)")
    parser.add_argument("--events", type=int, default=10_000, help="for ours, each time (default: 10,000)")
    parser.add_argument("--peer-events", type=int, default=1_200, help="for a slower one (default: 1,200)")
    add_output(parser)
    return parser


def _versions(python: Path) -> Mapping[str, str]:
    """Ask the others' environment what it has. SystemExit if there is none."""
    if not python.exists():
        raise SystemExit(f"there is no {python}: make bench-peers installs what the others need")
    output = subprocess.check_output([python, "-c", _ASKS_FOR_VERSIONS, *_PACKAGES], text=True)
    found: dict[str, str] = json.loads(output)
    return found


def _ingresses(site: Site, options: argparse.Namespace) -> Iterator[Series]:
    requests = webhooks(_WEBHOOKS)
    ours = ingress(site.servers, tenants_file(site.folder), site.on, _TOPIC)
    with ours as our_server, _fastapi(site, options.python) as their_server:
        for server in (our_server, their_server):
            drive(server.port, requests, connections=options.connections, seconds=options.seconds)
        yield from _pair(
            (their_server.name, lambda: measure(their_server, requests, options)),
            (our_server.name, lambda: measure(our_server, requests, options)),
            "answers/s",
            options.repetitions,
        )


@contextmanager
def _fastapi(site: Site, python: Path) -> Iterator[Server]:
    port = free_port()
    command = [str(python), "-m", "uvicorn", f"{_PROGRAMS}.fastapi_ingress:app", "--port", str(port)]
    environ = {"KAFKA": site.servers, "TOPIC": _TOPIC, "API_KEY": API_KEY}
    quiet = ["--no-access-log", "--log-level", "warning"]
    with serving("FastAPI", [*command, *quiet], port, site.on, environ=environ) as server:
        yield server


def _consumers(site: Site, options: argparse.Namespace) -> Iterator[Series]:
    for peer in _CONSUMERS:
        yield from _pair(
            (peer.name, lambda peer=peer: _theirs(site, peer, options)),  # type: ignore[misc] # binds it
            (f"consumer, beside {peer.name}", lambda: _ours(site, options)),
            "calls/s",
            options.repetitions,
        )


_Measured = tuple[str, Callable[[], Repetition]]


def _pair(theirs: _Measured, ours: _Measured, unit: str, repetitions: int) -> Sequence[Series]:
    """Measure two by turns."""
    found: dict[str, list[Repetition]] = {theirs[0]: [], ours[0]: []}
    for _ in range(repetitions):
        for name, measured in (theirs, ours):
            found[name].append(measured())
        print(", ".join(f"{name} {each[-1].value:,.0f} {unit}" for name, each in found.items()), file=sys.stderr)
    return [
        Series(name=theirs[0], unit=unit, repetitions=found[theirs[0]]),
        Series(name=ours[0], unit=unit, repetitions=found[ours[0]], beside=theirs[0]),
    ]


def _ours(site: Site, options: argparse.Namespace) -> Repetition:
    settings = _settings(site)
    asyncio.run(publish(settings, distinct_events(options.events)))
    margin = 2 * settings.max_in_flight
    with running(settings, site.on, site.folder) as member:
        return watch(member.pid, site.fuse, margin, options.events - margin)


def _theirs(site: Site, peer: Peer, options: argparse.Namespace) -> Repetition:
    """Count until some partition may have nothing more for it: partitions get unequal shares of few events."""
    settings = _settings(site)
    asyncio.run(publish(settings, distinct_events(options.peer_events)))
    environ = {
        "KAFKA": site.servers,
        "TOPIC": settings.topic,
        "FUSE_URL": f"http://127.0.0.1:{site.fuse}{PATH}",
        "HEADERS": json.dumps(HEADERS),
    }
    process = subprocess.Popen([options.python, "-m", f"{_PROGRAMS}.{peer.module}"], env={**os.environ, **environ})
    try:
        os.sched_setaffinity(process.pid, site.on)
        return watch(process.pid, site.fuse, options.peer_events // 10, options.peer_events * 2 // 3)
    finally:
        process.kill()
        process.wait()


def _settings(site: Site) -> ConsumerSettings:
    return settings_for(site.servers, site.fuse, site.folder, topic_partitions=_PARTITIONS, log_level="error")


if __name__ == "__main__":
    main()

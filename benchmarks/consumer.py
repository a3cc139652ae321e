"""How fast one consumer member makes sync calls, beside a bare aiohttp client: `python -m benchmarks.consumer`.

The bare client calls the same lean Fuse at the same concurrency without Kafka: it is the ceiling. The member reads
events that wait on a real Kafka, in order per key, and writes every outcome. The client under test has a core of its
own, where there are two; Kafka and the lean Fuse share the other. Repetitions alternate.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ports import await_port, cores, cpu_seconds, free_port
from benchmarks.sync_calls import BODY, HEADERS, TENANTS
from broker.embedded import EmbeddedKafka
from broker.publisher import Bounds, Publisher
from broker.topics import ensure_topics
from schemas.event import Environment, Event
from schemas.record import to_record
from schemas.settings import ConsumerSettings
from schemas.webhook import WebhookType

_AT_ONCE = 20_000
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One measurement: calls per second, CPU seconds per 1,000 calls, peak memory in MiB where it is known."""

    rate: float
    cpu_seconds_per_1000: float
    peak_mib: float | None = None


def main() -> None:
    """Measure; print a table to standard error, and JSON for machines to standard output."""
    options = _parser().parse_args()
    other_cores, client_cores = cores()
    results: dict[str, list[Repetition]] = {"bare client": [], "consumer": []}
    with EmbeddedKafka() as kafka, _lean_fuse(options.delay, other_cores) as port:
        for _ in range(options.repetitions):
            results["bare client"].append(_bare(port, options, client_cores))
            results["consumer"].append(_member(port, kafka.bootstrap_servers, options, client_cores))
    report = _report(results)
    print(json.dumps(report["ratio"]), file=sys.stderr)
    print(json.dumps(report, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consumer", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of each side (default: 5)")
    parser.add_argument("--events", type=int, default=40_000, help="events of each repetition (default: 40,000)")
    parser.add_argument("--keys", type=int, default=20_000, help="different connections (default: 20,000)")
    parser.add_argument("--in-flight", type=int, default=2_000, help="calls in flight at once (default: 2,000)")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds Fuse takes for a call (default: 0.05)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of the bare client's repetitions (default: 8)")
    return parser


@contextmanager
def _lean_fuse(delay: float, on: set[int]) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.lean_fuse", str(port), str(delay)])
    try:
        os.sched_setaffinity(process.pid, on)
        await_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _bare(port: int, options: argparse.Namespace, on: set[int]) -> Repetition:
    command = [sys.executable, "-m", "benchmarks.bare_client", str(port), str(options.in_flight), str(options.seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, on)
    output, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    return Repetition(**json.loads(output))


def _member(port: int, servers: str, options: argparse.Namespace, on: set[int]) -> Repetition:
    """Let events wait on a fresh topic, then start a member and watch the middle of its work."""
    with tempfile.TemporaryDirectory() as folder:
        tenants = Path(folder) / "tenants.toml"
        tenants.write_text(TENANTS)
        settings = ConsumerSettings(
            kafka_bootstrap_servers=servers,
            tenants_file=tenants,
            topic=f"benchmark.{uuid.uuid4().hex[:8]}",
            fuse_sandbox_url=f"http://127.0.0.1:{port}",
            max_in_flight=options.in_flight,
            log_level="error",
        )
        asyncio.run(_publish(settings, options))
        process = subprocess.Popen([sys.executable, "-m", "consumer", "run"], env=_environ(settings))
        try:
            os.sched_setaffinity(process.pid, on)  # before its threads exist, so that they inherit it
            return _watch(process.pid, port, options)
        finally:
            process.terminate()
            process.wait()


async def _publish(settings: ConsumerSettings, options: argparse.Namespace) -> None:
    await ensure_topics(settings)
    bounds = Bounds(messages=2 * _AT_ONCE, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)
    async with Publisher(settings, bounds) as publisher:
        for first in range(0, options.events, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, options.events))
            records = (to_record(_event(number % options.keys)) for number in numbers)
            await asyncio.gather(*(publisher.publish(settings.topic, record) for record in records))


def _event(connection: int) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        tenant="acme",
        environment=Environment.SANDBOX,
        type=WebhookType.SYNC_DATA,
        connection=f"connection-{connection}",
        aggregator="plaid",
        received_at=datetime.now(UTC),
        verification=HEADERS["Fuse-Verification"],
        body=BODY,
    )


def _environ(settings: ConsumerSettings) -> dict[str, str]:
    names = settings.model_fields_set
    return {**os.environ, **{f"FUSE_SYNC_{name.upper()}": str(getattr(settings, name)) for name in names}}


def _watch(pid: int, port: int, options: argparse.Namespace) -> Repetition:
    """Measure from the first calls in full flight to the last ones of it: neither start nor end counts."""
    before = _answered(port)
    start = _wait_for(port, before + 2 * options.in_flight)
    began, cpu = time.monotonic(), cpu_seconds(pid)
    end = _wait_for(port, before + options.events - 2 * options.in_flight)
    elapsed, spent = time.monotonic() - began, cpu_seconds(pid) - cpu
    calls = end - start
    return Repetition(rate=calls / elapsed, cpu_seconds_per_1000=spent / calls * 1000, peak_mib=_peak_mib(pid))


def _wait_for(port: int, answered: int) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (now := _answered(port)) < answered:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {now} of {answered} calls were made within {_PATIENCE_SECONDS} s")
        time.sleep(0.05)
    return now


def _answered(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        return int(answer.read())


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _report(results: dict[str, list[Repetition]]) -> dict[str, object]:
    pairs = zip(results["bare client"], results["consumer"], strict=True)
    return {
        "ratio": _spread([ours.rate / bare.rate for bare, ours in pairs]),
        "rates": {name: _spread([each.rate for each in repetitions]) for name, repetitions in results.items()},
        "repetitions": {name: [asdict(each) for each in repetitions] for name, repetitions in results.items()},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


if __name__ == "__main__":
    main()

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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.member import (
    PATIENCE_SECONDS,
    Member,
    ask,
    event,
    lean_fuse,
    publish,
    running,
    settings_for,
    wait_for_calls,
)
from benchmarks.ports import cores, cpu_seconds
from benchmarks.sync_calls import BODY
from broker.embedded import EmbeddedKafka


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
    with EmbeddedKafka() as kafka, lean_fuse(options.delay, other_cores) as port:
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


def _bare(port: int, options: argparse.Namespace, on: set[int]) -> Repetition:
    command = [sys.executable, "-m", "benchmarks.bare_client", str(port), str(options.in_flight), str(options.seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, on)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return Repetition(**json.loads(output))


def _member(port: int, servers: str, options: argparse.Namespace, on: set[int]) -> Repetition:
    """Let events wait on a fresh topic, then start a member and watch the middle of its work."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        settings = settings_for(servers, port, folder, max_in_flight=options.in_flight, log_level="error")
        bodies = (BODY + b" " * (number // options.keys) for number in range(options.events))
        events = (event(f"connection-{number % options.keys}", body) for number, body in enumerate(bodies))
        asyncio.run(publish(settings, events))
        with running(settings, on, folder) as member:
            return _watch(member, port, options)


def _watch(member: Member, port: int, options: argparse.Namespace) -> Repetition:
    """Measure from the first calls in full flight to the last ones of it: neither start nor end counts."""
    before = int(ask(port, "count"))
    start = wait_for_calls(port, before + 2 * options.in_flight)
    began, cpu = time.monotonic(), cpu_seconds(member.pid)
    end = wait_for_calls(port, before + options.events - 2 * options.in_flight)
    elapsed, spent = time.monotonic() - began, cpu_seconds(member.pid) - cpu
    calls = end - start
    return Repetition(rate=calls / elapsed, cpu_seconds_per_1000=spent / calls * 1000, peak_mib=member.peak_mib())


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

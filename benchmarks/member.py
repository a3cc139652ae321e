"""A member under measurement: events waiting for it on a real Kafka, its process, and what it logs and holds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ports import await_port, cpu_seconds, free_port, peak_mib
from benchmarks.result import Repetition
from benchmarks.sync_calls import BODY, HEADERS, TENANTS
from broker.publisher import Bounds, Publisher
from broker.topics import ensure_topics
from schemas.event import Environment, Event
from schemas.record import to_record
from schemas.settings import ConsumerSettings
from schemas.webhook import WebhookType

PATIENCE_SECONDS = 180.0
_AT_ONCE = 20_000


@contextmanager
def lean_fuse(delay: float, on: set[int]) -> Iterator[int]:
    """Run a lean Fuse on some cores; gives its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.lean_fuse", str(port), str(delay)])
    try:
        os.sched_setaffinity(process.pid, on)
        await_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def settings_for(servers: str, fuse_port: int, folder: Path, **given: object) -> ConsumerSettings:
    """Give the settings of a member on a topic that nobody else has."""
    tenants = folder / "tenants.toml"
    tenants.write_text(TENANTS)
    return ConsumerSettings(
        **{  # type: ignore[arg-type] # validated by pydantic
            "kafka_bootstrap_servers": servers,
            "tenants_file": tenants,
            "topic": f"benchmark.{uuid.uuid4().hex[:8]}",
            "fuse_sandbox_url": f"http://127.0.0.1:{fuse_port}",
            **given,
        }
    )


def event(connection: str, body: bytes) -> Event:
    """Make an event. Bodies should differ: of two equal ones that wait in a lane only one is called."""
    return Event(
        id=str(uuid.uuid4()),
        tenant="acme",
        environment=Environment.SANDBOX,
        type=WebhookType.SYNC_DATA,
        connection=connection,
        aggregator="plaid",
        received_at=datetime.now(UTC),
        verification=HEADERS["Fuse-Verification"],
        body=body,
    )


def distinct_events(count: int, keys: int = 20_000) -> Iterator[Event]:
    """Make events of so many connections, with bodies of 1 KiB, all different from the others of their connection."""
    for number in range(count):
        yield event(f"connection-{number % keys}", BODY + b" " * (number // keys))


async def publish(settings: ConsumerSettings, events: Iterable[Event]) -> None:
    """Create the topics, and let events wait there."""
    await ensure_topics(settings)
    bounds = Bounds(messages=2 * _AT_ONCE, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)
    async with Publisher(settings, bounds) as publisher:
        waiting = []
        for each in events:
            waiting.append(publisher.publish(settings.topic, to_record(each)))
            if len(waiting) >= _AT_ONCE:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


class Member:
    """A running member; `log` is what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def lines(self, event: str) -> list[dict[str, object]]:
        """List its log lines of one kind."""
        lines = [json.loads(line) for line in self._log.read_bytes().splitlines() if line.startswith(b"{")]
        return [line for line in lines if line["event"] == event]

    def peak_mib(self) -> float:
        """Tell the most memory that it has had."""
        return peak_mib(self.pid)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(settings: ConsumerSettings, on: set[int], folder: Path) -> Iterator[Member]:
    """Run a member on some cores; it is ended at the end, if it has not been killed."""
    names = settings.model_fields_set
    environ = {**os.environ, **{f"FUSE_SYNC_{name.upper()}": str(getattr(settings, name)) for name in names}}
    log = folder / f"{uuid.uuid4().hex}.log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "consumer", "run"], env=environ, stderr=file)
    try:
        os.sched_setaffinity(process.pid, on)  # before its threads exist, so that they inherit it
        yield Member(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def ask(port: int, what: str) -> bytes:
    """Ask the lean Fuse."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=10) as answer:
        found: bytes = answer.read()
    return found


def wait_for_calls(port: int, answered: int) -> int:
    """Wait until so many calls have been answered; give how many it were then. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := int(ask(port, "count"))) < answered:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {now} of {answered} calls were made within {PATIENCE_SECONDS} s")
        time.sleep(0.05)
    return now


def watch(pid: int, port: int, begin: int, end: int) -> Repetition:
    """Measure a process from its call number `begin` on until `end` of them have been answered.

    So that all that may be in flight is, neither its first calls should count nor its last. Raises TimeoutError.
    """
    before = int(ask(port, "count"))
    start = wait_for_calls(port, before + begin)
    began, cpu = time.monotonic(), cpu_seconds(pid)
    stop = wait_for_calls(port, before + end)
    elapsed, spent = time.monotonic() - began, cpu_seconds(pid) - cpu
    calls = stop - start
    return Repetition(value=calls / elapsed, cpu_seconds_per_1000=spent / calls * 1000, peak_mib=peak_mib(pid))

"""A server under load: its process, on cores of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ports import await_port, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under load, and its process."""

    name: str
    port: int
    pid: int


@contextmanager
def bare_handler(name: str, on: set[int]) -> Iterator[Server]:
    """Run a bare handler, `hello` or `body`, on some cores."""
    port = free_port()
    with _running(name, ["benchmarks.bare_handler", str(port), name], {}, port, on) as server:
        yield server


@contextmanager
def ingress(kafka: str, tenants: Path, on: set[int], topic: str = "benchmark.ingress") -> Iterator[Server]:
    """Run an ingress on some cores, that publishes to `topic` of the Kafka at the address `kafka`."""
    port = free_port()
    environ = {
        "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "FUSE_SYNC_TENANTS_FILE": str(tenants),
        "FUSE_SYNC_TOPIC": topic,
        "FUSE_SYNC_INGRESS_HOST": "127.0.0.1",
        "FUSE_SYNC_INGRESS_PORT": str(port),
    }
    with _running("ingress", ["ingress"], environ, port, on) as server:
        yield server


@contextmanager
def _running(name: str, module: Sequence[str], environ: Mapping[str, str], port: int, on: set[int]) -> Iterator[Server]:
    process = subprocess.Popen([sys.executable, "-m", *module], env={**os.environ, **environ})
    try:
        os.sched_setaffinity(process.pid, on)  # before its threads exist, so that they inherit it
        await_port(port)
        yield Server(name=name, port=port, pid=process.pid)
    finally:
        process.terminate()
        process.wait()

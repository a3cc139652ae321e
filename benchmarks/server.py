"""A server under load: its processes, on cores of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.ports import await_port, cpu_seconds, free_port, peak_mib


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under load, and its processes."""

    name: str
    port: int
    pids: Sequence[int]

    def cpu_seconds(self) -> float:
        """Add up the CPU time of all of its processes so far."""
        return sum(cpu_seconds(pid) for pid in self.pids)

    def peak_mib(self) -> float:
        """Add up the most memory that each of them has had."""
        return sum(peak_mib(pid) for pid in self.pids)


@contextmanager
def bare_handler(name: str, on: set[int]) -> Iterator[Server]:
    """Run a bare handler, `hello` or `body`, on some cores."""
    port = free_port()
    with serving(name, [sys.executable, "-m", "benchmarks.bare_handler", str(port), name], port, on) as server:
        yield server


@contextmanager
def ingress(  # noqa: PLR0913 - what there is to say of it
    kafka: str,
    tenants: Path,
    on: set[int],
    topic: str = "benchmark.ingress",
    *,
    name: str = "ingress",
    processes: int = 1,
) -> Iterator[Server]:
    """Run an ingress on some cores, that publishes to `topic` of the Kafka at the address `kafka`.

    Several processes share its port.
    """
    port = free_port()
    environ = {
        "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "FUSE_SYNC_TENANTS_FILE": str(tenants),
        "FUSE_SYNC_TOPIC": topic,
        "FUSE_SYNC_INGRESS_HOST": "127.0.0.1",
        "FUSE_SYNC_INGRESS_PORT": str(port),
        "FUSE_SYNC_INGRESS_REUSE_PORT": str(processes > 1),
    }
    with serving(name, [sys.executable, "-m", "ingress"], port, on, environ=environ, processes=processes) as server:
        yield server


@contextmanager
def serving(  # noqa: PLR0913 - what there is to say of a process
    name: str,
    command: Sequence[str],
    port: int,
    on: set[int],
    *,
    environ: Mapping[str, str] = MappingProxyType({}),
    processes: int = 1,
) -> Iterator[Server]:
    """Run a command, in so many processes on some cores, from when all of them listen on the port until the end."""
    running = [subprocess.Popen(command, env={**os.environ, **environ}) for _ in range(processes)]
    try:
        for process in running:
            os.sched_setaffinity(process.pid, on)  # before its threads exist, so that they inherit it
        await_port(port, processes)
        yield Server(name=name, port=port, pids=[process.pid for process in running])
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()

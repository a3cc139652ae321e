"""What the benchmarks need of the machine: free ports, cores, and the CPU time and the memory of a process."""

import os
import socket
import time
from pathlib import Path

_START_SECONDS = 30.0
_LISTEN = "0A"
_TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[set[int], set[int]]:
    """Part the cores into those for everything else, and the one under test; one core alone serves both."""
    every = sorted(os.sched_getaffinity(0))
    return set(every[1:]) or set(every), {every[0]}


def free_port() -> int:
    """Find a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, listeners: int = 1) -> None:
    """Wait until something listens on the port, or so many processes that share it do."""
    deadline = time.monotonic() + _START_SECONDS
    while _listeners(port) < listeners:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{_listeners(port)} of {listeners} listen on port {port}")
        time.sleep(0.05)


def _listeners(port: int) -> int:
    """Count the sockets that listen on the port of an IPv4 address (proc_net_tcp: local address, state)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _LISTEN for row in rows)


def cpu_seconds(pid: int) -> float:
    """Add up the user and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_mib(pid: int) -> float:
    """Tell the most memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def forget_peak() -> None:
    """Let this process's own peak begin anew, at what it has now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")

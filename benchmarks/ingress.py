"""How fast one ingress process answers, beside a bare aiohttp handler: `python -m benchmarks.ingress`.

Both get the same signed webhooks, of 1 KiB unless told otherwise. The ingress verifies them and waits for a real
Kafka to acknowledge each; the bare handler only reads the body. Each server has a core of its own, where there are
two; the load and Kafka share the other. Repetitions alternate, so that whatever else the machine does meets both.
`server busy` near 100 % says that the server was what limited the rate, and not the load or Kafka.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.load import Load, drive
from broker.embedded import EmbeddedKafka
from schemas.canonical import read_body
from schemas.verification import sign

_BODIES = 1000
_WARM_SECONDS = 1.5
_START_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_KEY = "benchmark-api-key"
_TENANTS = f"""\
allow_literals = true
[tenants.acme.sandbox]
client_id = "benchmark-client"
api_key = "{_KEY}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One measurement: answers per second, the server's CPU time per answer, and how busy that kept its core."""

    rate: float
    cpu_microseconds: float
    server_busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under load, and its process."""

    name: str
    port: int
    pid: int


def main() -> None:
    """Measure; print a table to standard error, and JSON for machines to standard output."""
    options = _parser().parse_args()
    load_cores, server_cores = _cores()
    os.sched_setaffinity(0, load_cores)
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        tenants = Path(folder) / "tenants.toml"
        tenants.write_text(_TENANTS)
        environ = _ingress_environ(kafka.bootstrap_servers, tenants)
        with (
            _running("bare handler", ["benchmarks.bare_handler"], os.environ, server_cores) as bare,
            _running("ingress", ["ingress"], environ, server_cores) as ingress,
        ):
            results = _measure((bare, ingress), options)
    report = _report(results)
    print(_text(results, report), file=sys.stderr)
    print(json.dumps(report, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingress", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of each server (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each repetition (default: 4)")
    parser.add_argument("--connections", type=int, default=128, help="requests under way at once (default: 128)")
    parser.add_argument("--body-bytes", type=_body_bytes, default=1024, help="of each webhook (default: 1024)")
    parser.add_argument("--scrambled", action="store_true", help="bodies in another key order than the signed text's")
    return parser


def _body_bytes(text: str) -> int:
    least = len(_compact(_members(0, 0)))
    if int(text) < least:
        raise argparse.ArgumentTypeError(f"a webhook has at least {least} bytes")
    return int(text)


def _cores() -> tuple[set[int], set[int]]:
    """Part the cores into those for load and Kafka, and the one for the server; one core alone serves both."""
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[1:]) or set(cores), {cores[0]}


def _ingress_environ(bootstrap_servers: str, tenants: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "FUSE_SYNC_TENANTS_FILE": str(tenants),
        "FUSE_SYNC_INGRESS_HOST": "127.0.0.1",
    }


@contextmanager
def _running(name: str, module: Sequence[str], environ: Mapping[str, str], cores: set[int]) -> Iterator[Server]:
    port = _free_port()
    environ = {**environ, "FUSE_SYNC_INGRESS_PORT": str(port)} if name == "ingress" else environ
    process = subprocess.Popen([sys.executable, "-m", *module, str(port)], env=environ)
    try:
        os.sched_setaffinity(process.pid, cores)  # before its threads exist, so that they inherit it
        _await_port(port)
        yield Server(name=name, port=port, pid=process.pid)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _measure(servers: Sequence[Server], options: argparse.Namespace) -> dict[str, list[Repetition]]:
    requests = [_request(number, options.body_bytes, scrambled=options.scrambled) for number in range(_BODIES)]
    results: dict[str, list[Repetition]] = {server.name: [] for server in servers}
    for server in servers:
        drive(server.port, requests, connections=options.connections, seconds=_WARM_SECONDS)
    for _ in range(options.repetitions):
        for server in servers:
            before = _cpu_seconds(server.pid)
            load = drive(server.port, requests, connections=options.connections, seconds=options.seconds)
            results[server.name].append(_repetition(load, _cpu_seconds(server.pid) - before))
    return results


def _repetition(load: Load, cpu_seconds: float) -> Repetition:
    if set(load.statuses) != {"200"}:
        raise SystemExit(f"not every answer was 200: {dict(load.statuses)}")
    return Repetition(
        rate=load.rate,
        cpu_microseconds=1e6 * cpu_seconds / load.statuses.total(),
        server_busy=cpu_seconds / load.seconds,
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _members(number: int, body_bytes: int) -> dict[str, str]:
    members = {
        "environment": "sandbox",
        "financial_connection_id": f"connection-{number:08}",
        "remote_data": "",
        "source": "plaid",
        "type": "financial_connection.sync_data",
    }
    return members | {"remote_data": "x" * (body_bytes - len(_compact(members)))}


def _request(number: int, body_bytes: int, *, scrambled: bool) -> bytes:
    members = _members(number, body_bytes)
    body = _compact(dict(reversed(members.items())) if scrambled else members)
    signature = sign(read_body(body).canonical(), SecretStr(_KEY))
    head = (
        b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"fuse-verification: %b\r\nContent-Length: %d\r\n\r\n"
    )
    return head % (signature, len(body)) + body


def _compact(members: Mapping[str, str]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _report(results: Mapping[str, Sequence[Repetition]]) -> dict[str, object]:
    medians = {name: statistics.median(each.rate for each in done) for name, done in results.items()}
    costs = {name: statistics.median(each.cpu_microseconds for each in done) for name, done in results.items()}
    return {
        "servers": {name: [asdict(each) for each in done] for name, done in results.items()},
        "median_rate": medians,
        "median_cpu_microseconds": costs,
        "ratio": medians["ingress"] / medians["bare handler"],
        "ratio_by_cpu_time": costs["bare handler"] / costs["ingress"],
    }


def _text(results: Mapping[str, Sequence[Repetition]], report: Mapping[str, object]) -> str:
    lines = [f"{'server':<14}{'min/s':>9}{'median/s':>10}{'max/s':>9}{'CPU µs each':>13}{'server busy':>13}"]
    for name, done in results.items():
        rates = [each.rate for each in done]
        cost = statistics.median(each.cpu_microseconds for each in done)
        busy = statistics.median(each.server_busy for each in done)
        lines.append(
            f"{name:<14}{min(rates):>9,.0f}{statistics.median(rates):>10,.0f}{max(rates):>9,.0f}{cost:>13.1f}{busy:>13.0%}"
        )
    lines.append(f"ratio of the median rates {report['ratio']:.2f}, of CPU time {report['ratio_by_cpu_time']:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

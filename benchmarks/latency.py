"""How long from a webhook to its call, through the whole path: `python -m benchmarks.latency`.

First the path is filled, to see what it carries: webhooks are sent as fast as they are accepted, and its capacity is
their number over the seconds until the last of them has been called. Then they are sent at half of that, each at its
time whatever became of those before: an open loop. Times count from when a webhook was to be sent, until it is accepted
and until its call arrives, so that nothing that waits is left out; what lies between the two is given for each webhook
too. The load sees an answer a little after it was given, and so counts a little less between than there was. Ingress,
member, Kafka, the lean Fuse and the load share all cores: who waits takes whichever is free.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.load import drive, send_on_time
from benchmarks.member import Member, ask, lean_fuse, running, settings_for, wait_for_calls
from benchmarks.ports import cpu_seconds
from benchmarks.result import Repetition, Series, add_output, hand_over
from benchmarks.server import ingress
from benchmarks.sync_calls import HEADERS
from broker.embedded import EmbeddedKafka
from schemas.canonical import read_body
from schemas.verification import sign

_KEY = SecretStr(HEADERS["Fuse-Api-Key"])
_PATH = "/webhooks/acme"
_FUSE_SECONDS = 0.05
_IN_FLIGHT = 2_000
_CONNECTIONS = 5_000
_SENDERS = 128
_SUPPLY = 20_000
"""Webhooks for the filling, all of them different: of two equal ones that wait in a lane only one is called."""
_PADDING = "x" * 700
_BUILT_SECONDS = 0.0005
"""At most, for one webhook."""
_DIGITS = 6
"""Of the time at which a webhook is to be sent, which tells it from the others too."""
_SHARE = 0.5
"""Of the capacity: how much is sent in the open loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The whole path: the ports of its two ends, and the member between them."""

    ingress: int
    fuse: int
    member: Member


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    every_core = os.sched_getaffinity(0)
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedKafka() as kafka,
        lean_fuse(_FUSE_SECONDS, every_core) as fuse,
    ):
        folder = Path(directory)
        settings = settings_for(kafka.bootstrap_servers, fuse, folder, max_in_flight=_IN_FLIGHT, log_level="error")
        with (
            ingress(kafka.bootstrap_servers, settings.tenants_file, every_core, settings.topic) as server,
            running(settings, every_core, folder) as member,
        ):
            site = Site(ingress=server.port, fuse=fuse, member=member)
            series = _measure(site, options)
    hand_over("latency", __doc__, series, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of the open loop (default: 5)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each repetition (default: 6)")
    add_output(parser)
    return parser


def _measure(site: Site, options: argparse.Namespace) -> Sequence[Series]:
    _fill(site, 1.0)  # connections are opened, and the member has its partitions
    capacity = _fill(site, 3.0)
    _say(f"capacity: {capacity:,.0f}/s")
    found: dict[str, list[Repetition]] = {}
    for _ in range(options.repetitions):
        for name, repetition in _open_loop(site, _SHARE * capacity, options.seconds).items():
            found.setdefault(name, []).append(repetition)
        _say(", ".join(f"{name} {each[-1].value:.0f} ms" for name, each in found.items()))
    filled = Series(name="capacity", unit="webhooks/s", repetitions=[Repetition(value=capacity)])
    return [filled, *(Series(name=name, unit="ms", repetitions=each) for name, each in found.items())]


def _fill(site: Site, seconds: float) -> float:
    """Send as fast as webhooks are accepted; give how many a second have gone the whole way."""
    marker = time.time_ns()
    requests = [_request(_body(number, f'"fill":{marker + number}')) for number in range(_SUPPLY)]
    before, began = int(ask(site.fuse, "count")), time.monotonic()
    counted = drive(site.ingress, requests, connections=_SENDERS, seconds=seconds).statuses.total()
    accepted = counted + _SENDERS  # with those that were under way at the end
    wait_for_calls(site.fuse, before + accepted)
    return accepted / (time.monotonic() - began)


def _open_loop(site: Site, rate: float, seconds: float) -> Mapping[str, Repetition]:
    ask(site.fuse, "latencies")
    before, cpu = int(ask(site.fuse, "count")), cpu_seconds(site.member.pid)
    accepted = send_on_time(site.ingress, _schedule(rate, seconds), connections=_SENDERS)
    wait_for_calls(site.fuse, before + len(accepted))
    spent = 1000 * (cpu_seconds(site.member.pid) - cpu) / len(accepted)
    called: dict[float, float] = dict(json.loads(ask(site.fuse, "latencies")))
    between = [called[due] - until for due, until in accepted.items()]
    member = {"cpu_seconds_per_1000": spent, "peak_mib": site.member.peak_mib()}
    return {
        **_quantiles("accepted", [*accepted.values()]),
        **_quantiles("from accepted to called", between),
        **_quantiles("called", [*called.values()], **member),
    }


def _quantiles(name: str, seconds: Sequence[float], **cost: float) -> Mapping[str, Repetition]:
    return {f"{name}, {which}": Repetition(value=1000 * of(seconds), **cost) for which, of in _QUANTILES.items()}


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


_QUANTILES: Mapping[str, Callable[[Sequence[float]], float]] = {"p50": statistics.median, "p99": _p99}


def _schedule(rate: float, seconds: float) -> Sequence[tuple[float, bytes]]:
    """Build webhooks with the times at which they are to be sent; the first is due when all are built."""
    count = int(rate * seconds)
    began = time.time() + 1.0 + count * _BUILT_SECONDS
    dues = [round(began + number / rate, _DIGITS) for number in range(count)]
    return [(due, _request(_body(number, f'"at":{due:.{_DIGITS}f}'))) for number, due in enumerate(dues)]


def _body(number: int, mark: str) -> bytes:
    connection = f"connection-{number % _CONNECTIONS:08}"
    return (
        f'{{{mark},"environment":"sandbox","financial_connection_id":"{connection}",'
        f'"padding":"{_PADDING}","source":"plaid","type":"financial_connection.sync_data"}}'
    ).encode()


def _request(body: bytes) -> bytes:
    signature = sign(read_body(body).canonical(), _KEY).decode()
    headers = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "fuse-verification": signature,
        "Content-Length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {_PATH} HTTP/1.1\r\n{head}\r\n".encode() + body


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

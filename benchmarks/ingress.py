"""How fast one ingress process answers, beside bare aiohttp handlers: `python -m benchmarks.ingress`.

All get the same signed webhooks. The ingress verifies them and waits for a real Kafka to acknowledge each; one bare
handler reads the body, which is the yardstick, and one answers at once. Each server has a core of its own, where there
are two; the load and Kafka share the other. A scrambled body has its keys in another order than the signed text. With
all cores, one process is compared with two that share its port, while the load and Kafka stay where they are: on two
cores this shows what sharing costs, and not how far it reaches, since the second process has no core of its own.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from benchmarks.load import drive
from benchmarks.ports import cores
from benchmarks.result import Repetition, Series, add_output, hand_over
from benchmarks.server import Server, bare_handler, ingress
from broker.embedded import EmbeddedKafka
from schemas.canonical import read_body
from schemas.verification import sign

_BODIES = 1000
_WARM_SECONDS = 1.0
API_KEY = "benchmark-api-key"
_HELLO, _BODY, _OURS = "hello", "body", "ingress"
_ONE, _TWO = "one process", "two processes"
_YARDSTICKS = {_OURS: _BODY, _TWO: _ONE}
_TENANTS = 1000
_TENANT = f"""\
[tenants.tenant-%d.sandbox]
client_id = "benchmark-client"
api_key = "{API_KEY}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What webhooks are like: bytes of a body, whether its keys are in another order, and of how many tenants.

    `all_cores` says that one process and two are to be compared, on all cores.
    """

    body_bytes: int = 1024
    scrambled: bool = False
    tenants: int = 1
    all_cores: bool = False

    @property
    def name(self) -> str:
        """Say it in words."""
        tenants = f", {self.tenants:,} tenants" if self.tenants > 1 else ""
        cores = ", all cores" if self.all_cores else ""
        return f"{self.body_bytes / 1024:g} KiB{', scrambled' if self.scrambled else ''}{tenants}{cores}"


VARIANTS: Mapping[str, Variant] = {
    "half": Variant(body_bytes=512),
    "1": Variant(),
    "8": Variant(body_bytes=8 * 1024),
    "64": Variant(body_bytes=64 * 1024),
    "1-scrambled": Variant(scrambled=True),
    "64-scrambled": Variant(body_bytes=64 * 1024, scrambled=True),
    "1-tenants": Variant(tenants=_TENANTS),
    "1-processes": Variant(all_cores=True),
}


Measured = Mapping[tuple[Variant, str], list[Repetition]]
"""The repetitions of each variant on each server."""


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    load_cores, server_cores = cores()
    all_cores = load_cores | server_cores
    os.sched_setaffinity(0, load_cores)
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        tenants = tenants_file(Path(folder))
        start = partial(ingress, kafka.bootstrap_servers, tenants)
        servers = [
            bare_handler(_HELLO, server_cores),
            bare_handler(_BODY, server_cores),
            start(server_cores, name=_OURS),
            start(all_cores, name=_ONE),
            start(all_cores, name=_TWO, processes=2),
        ]
        measured = _measure([running.enter_context(server) for server in servers], options)
    hand_over("ingress", __doc__, [*_series(measured)], options.output)


def tenants_file(folder: Path) -> Path:
    """Write a tenants file with those to whom webhooks are sent."""
    path = folder / "tenants.toml"
    path.write_text("allow_literals = true\n" + "".join(_TENANT % number for number in range(_TENANTS)))
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingress", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10, help="of each server (default: 10)")
    parser.add_argument(
        "--variant", action="append", choices=VARIANTS, help="only this; may be repeated (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of each repetition (default: 1)")
    parser.add_argument("--connections", type=int, default=128, help="requests under way at once (default: 128)")
    add_output(parser)
    return parser


def _measure(servers: Sequence[Server], options: argparse.Namespace) -> Measured:
    variants = [VARIANTS[name] for name in options.variant or VARIANTS]
    requests = {variant: webhooks(variant) for variant in variants}
    compared = {variant: [each for each in servers if _is_for(each, variant)] for variant in variants}
    measured: Measured = {(variant, each.name): [] for variant in variants for each in compared[variant]}
    for server in servers:
        drive(server.port, requests[variants[0]], connections=options.connections, seconds=_WARM_SECONDS)
    for variant in variants * options.repetitions:
        for server in compared[variant]:
            measured[variant, server.name].append(measure(server, requests[variant], options))
        _say(variant, {server.name: measured[variant, server.name][-1] for server in compared[variant]})
    return measured


def _is_for(server: Server, variant: Variant) -> bool:
    return variant.all_cores == (server.name in {_ONE, _TWO})


def measure(server: Server, requests: Sequence[bytes], options: argparse.Namespace) -> Repetition:
    """Send webhooks to a server, on `options.connections` for `options.seconds`; SystemExit if it refuses one."""
    before = server.cpu_seconds()
    load = drive(server.port, requests, connections=options.connections, seconds=options.seconds)
    if set(load.statuses) != {"200"}:
        raise SystemExit(f"not every answer was 200: {dict(load.statuses)}")
    return Repetition(
        value=load.rate,
        cpu_seconds_per_1000=1000 * (server.cpu_seconds() - before) / load.statuses.total(),
        peak_mib=server.peak_mib(),
    )


def _say(variant: Variant, last: Mapping[str, Repetition]) -> None:
    rates = ", ".join(f"{name} {each.value:,.0f}/s" for name, each in last.items())
    print(f"{variant.name}: {rates}", file=sys.stderr, flush=True)


def _series(measured: Measured) -> Iterator[Series]:
    for (variant, server), repetitions in measured.items():
        beside = f"{_YARDSTICKS[server]}, {variant.name}" if server in _YARDSTICKS else None
        yield Series(name=f"{server}, {variant.name}", unit="answers/s", repetitions=repetitions, beside=beside)


def webhooks(variant: Variant) -> Sequence[bytes]:
    """Make requests with signed webhooks, all of them different."""
    return [_request(number, variant) for number in range(_BODIES)]


def _members(number: int, body_bytes: int) -> dict[str, str]:
    members = {
        "environment": "sandbox",
        "financial_connection_id": f"connection-{number:08}",
        "remote_data": "",
        "source": "plaid",
        "type": "financial_connection.sync_data",
    }
    return members | {"remote_data": "x" * (body_bytes - len(_compact(members)))}


def _request(number: int, variant: Variant) -> bytes:
    members = _members(number, variant.body_bytes)
    body = _compact(dict(reversed(members.items())) if variant.scrambled else members)
    signature = sign(read_body(body).canonical(), SecretStr(API_KEY))
    head = (
        b"POST /webhooks/tenant-%d HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"fuse-verification: %b\r\nContent-Length: %d\r\n\r\n"
    )
    return head % (number % variant.tenants, signature, len(body)) + body


def _compact(members: Mapping[str, str]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()

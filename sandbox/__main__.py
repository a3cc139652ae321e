"""`python -m sandbox`: a Fuse to play with. The commands are described in docs/sandbox.md."""

import argparse
import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from sandbox.fuse import CAPACITY, FakeFuse
from sandbox.generator import Mix, generate
from sandbox.inquiry import Inquiry
from sandbox.inspection import know
from sandbox.judge import Verdict
from sandbox.manifest import Manifest, Notes, read_manifest, write_manifest
from sandbox.plan import Delay, Plan, load_plan
from sandbox.sender import Pace, send
from sandbox.server import serving
from schemas.errors import ConfigurationError
from schemas.settings import ENVIRON
from schemas.tenants import load_tenants

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command: 0 if all is well, 1 if not, after saying what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigurationError as error:
        sys.stderr.write("\n".join(error.faults) + "\n")
        return 1
    except aiohttp.ClientError as error:
        sys.stderr.write(f"cannot reach it, is it running there? {error}\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _fuse(options: argparse.Namespace) -> int:
    plan = load_plan(options.plan) if options.plan else Plan()
    if options.delay is not None:
        plan = plan.model_copy(update={"delay": options.delay})
    accounts = know(load_tenants(options.tenants, ENVIRON))
    asyncio.run(_serve(FakeFuse(accounts=accounts, plan=plan, capacity=options.keep), options.host, options.port))
    return 0


async def _serve(fuse: FakeFuse, host: str, port: int) -> None:
    _allow_many_connections()
    _collect_rarely()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(fuse, host=host, port=port) as url:
        sys.stdout.write(f"listening on {url}\n")
        sys.stdout.flush()
        await stop.wait()


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one: every open call is a connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _collect_rarely() -> None:
    """Visit the recorded calls less often: they are kept on purpose, and there are soon hundreds of thousands."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _send(options: argparse.Namespace) -> int:
    mix = Mix(
        connections=options.connections,
        forged_share=options.forged_share,
        scrambled_share=options.scrambled_share,
        other_share=options.other_share,
    )
    webhooks = islice(generate(load_tenants(options.tenants, ENVIRON), mix, options.seed), options.count)
    pace = Pace(concurrency=options.concurrency, rate=options.rate)
    notes = Notes()
    try:
        asyncio.run(send(webhooks, options.url, pace, notes))
    finally:
        # Also on Ctrl-C: what was accepted until then can still be judged.
        if options.manifest:
            write_manifest(notes.manifest(), options.manifest)
        _show(_sent(notes.manifest()))
    counts = notes.manifest().counts
    return int(bool(counts.forged_accepted or counts.genuine_refused or counts.given_up))


def _sent(manifest: Manifest) -> dict[str, int]:
    answers = {f"answers {status}": count for status, count in sorted(manifest.answers.items())}
    return {"accepted": len(manifest.accepted), **manifest.counts.model_dump(), **answers}


def _judge(options: argparse.Namespace) -> int:
    verdict = asyncio.run(_ask(read_manifest(options.manifest), options.fuse, options.wait))
    counts = asdict(verdict)
    examples = counts.pop("examples")
    _show(counts)
    for kind, names in examples.items():
        Console().print(f"{kind}:", *names, sep="\n  ", markup=False, highlight=False, soft_wrap=True)
    return 0 if verdict.kept else 1


async def _ask(manifest: Manifest, url: str, wait: float) -> Verdict:
    async with aiohttp.ClientSession() as session:
        return await Inquiry(session, url).verdict(manifest, wait)


def _demo(_: argparse.Namespace) -> int:
    from sandbox.demo import main  # noqa: PLC0415 - it needs an embedded Kafka, which the other commands do without

    return int(main())


def _show(counts: dict[str, int]) -> None:
    table = Table(show_header=False, box=None)
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), str(count))
    Console().print(table)


def _delay(text: str) -> Delay:
    match [float(part) for part in text.split(":")]:
        case [fixed] if fixed >= 0:
            return fixed
        case [shortest, longest] if 0 <= shortest <= longest:
            return shortest, longest
    raise argparse.ArgumentTypeError("give seconds, or SHORTEST:LONGEST")


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("give a share from 0 to 1")
    return share


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a number from 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A Fuse to play with; see docs/sandbox.md.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="show the whole path on this machine, and judge it")
    demo.set_defaults(run=_demo)
    _add_fuse(commands.add_parser("fuse", help="serve a fake Fuse that checks and records sync calls"))
    _add_send(commands.add_parser("send", help="send generated webhooks to an ingress"))
    _add_judge(commands.add_parser("judge", help="compare what was sent with what the fake Fuse received"))
    return parser


def _add_fuse(fuse: argparse.ArgumentParser) -> None:
    fuse.set_defaults(run=_fuse)
    fuse.add_argument("--tenants", type=Path, required=True, help="tenants file: whose calls are right")
    fuse.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    fuse.add_argument("--port", type=int, default=8090, help="0 takes a free one; the first line of output names it")
    fuse.add_argument("--plan", type=Path, help="failure plan, TOML or JSON")
    fuse.add_argument("--delay", type=_delay, help="seconds before each answer, or SHORTEST:LONGEST; above the plan's")
    fuse.add_argument("--keep", type=_at_least_one, default=CAPACITY, help="calls recorded at most (%(default)s)")


def _add_send(send_: argparse.ArgumentParser) -> None:
    send_.set_defaults(run=_send)
    send_.add_argument("--url", required=True, help="base URL of the ingress")
    send_.add_argument("--tenants", type=Path, required=True, help="tenants file: whose webhooks to send")
    send_.add_argument("--count", type=_at_least_one, default=1000, help="webhooks (%(default)s)")
    send_.add_argument("--connections", type=_at_least_one, default=100, help="over so many (%(default)s)")
    send_.add_argument("--rate", type=float, default=0.0, help="webhooks per second; 0: as fast as answered")
    send_.add_argument("--concurrency", type=_at_least_one, default=64, help="requests at once (%(default)s)")
    send_.add_argument("--forged-share", type=_share, default=0.0, help="forged, to be refused (%(default)s)")
    send_.add_argument("--scrambled-share", type=_share, default=0.0, help="spelled unusually (%(default)s)")
    send_.add_argument("--other-share", type=_share, default=0.1, help="of other types than sync_data (%(default)s)")
    send_.add_argument("--seed", type=int, default=0, help="another seed, other webhooks (%(default)s)")
    send_.add_argument("--manifest", type=Path, help="write here what was accepted, for `judge`")


def _add_judge(judge: argparse.ArgumentParser) -> None:
    judge.set_defaults(run=_judge)
    judge.add_argument("--manifest", type=Path, required=True, help="what `send` wrote")
    judge.add_argument("--fuse", required=True, help="base URL of the fake Fuse")
    judge.add_argument("--wait", type=float, default=0.0, help="seconds to wait for all to be synced (%(default)s)")


if __name__ == "__main__":
    sys.exit(main())

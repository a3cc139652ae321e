"""`python -m consumer`: the commands of the consumer."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import structlog

from broker.session_timeout import check_session_timeout
from broker.topics import ensure_topics
from consumer.run import run
from schemas.process import prepare_process, run_program
from schemas.settings import ENVIRON, ConsumerSettings, load
from schemas.telemetry import configure_logging
from schemas.tenants import load_tenants


def main(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; give the exit status."""
    options = _parser().parse_args(arguments)
    overrides = {"group": options.group} if options.group else {}
    return run_program(lambda: _run(overrides))


async def _run(overrides: Mapping[str, str]) -> int:
    settings = load(ConsumerSettings, **overrides)
    configure_logging(settings.log_level, settings.log_format)
    structlog.contextvars.bind_contextvars(group=settings.group, pid=os.getpid())
    prepare_process()
    tenants = load_tenants(settings.tenants_file, ENVIRON)
    await ensure_topics(settings)
    await check_session_timeout(settings)
    return await run(settings, tenants)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m consumer", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("run", help="run one member of a group until SIGTERM")
    command.add_argument("--group", help="the group to join; above FUSE_SYNC_GROUP (default: sync)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

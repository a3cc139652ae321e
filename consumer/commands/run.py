"""`run`: one member of a group, until it is told to stop."""

import argparse
import asyncio
import os

import structlog

from broker.group_offsets import start_at
from broker.session_timeout import check_session_timeout
from broker.topics import ensure_topics
from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.times import time_argument
from consumer.engine.committed import begun_at
from consumer.loading import load_handler
from consumer.run import run
from schemas.live_tenants import LiveTenants, following
from schemas.process import prepare_process, run_program
from schemas.settings import ENVIRON
from schemas.telemetry import LogEvent, configure_logging


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser("run", help="run one member of a group until SIGTERM")
    add_group(command)
    command.add_argument(
        "--from",
        dest="start",
        type=time_argument,
        metavar="TIME",
        help="where a new group begins: with what was appended from then on (default: with the oldest record); "
        "one that has begun goes on from where it is",
    )
    command.add_argument(
        "--handler",
        metavar="NAME",
        help="sync, relay or package.module:name; above FUSE_SYNC_HANDLER (default: sync)",
    )
    command.add_argument(
        "--repartitioned",
        action="store_true",
        help="the source may have got more partitions: let all that was written before end first, then extend the "
        "group's topics and go on; without such a change it makes no difference",
    )
    command.set_defaults(run=lambda options: run_program(lambda: _run(options)))


async def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    configure_logging(settings.log_level, settings.log_format)
    structlog.contextvars.bind_contextvars(group=settings.group, pid=os.getpid())
    prepare_process()
    tenants = LiveTenants(settings.tenants_file, ENVIRON)
    load_handler(settings.handler)  # before anything is created for it
    layout = await ensure_topics(settings, drains=options.repartitioned)
    await check_session_timeout(settings)
    if options.start is not None:
        offsets = await asyncio.to_thread(start_at, settings, int(options.start.timestamp() * 1000), begun_at)
        structlog.get_logger().info(LogEvent.GROUP_BEGUN if offsets else LogEvent.GROUP_RESUMED, start=options.start)
    async with following(tenants, settings.tenants_poll_seconds):
        return await run(settings, tenants, layout)

"""`replay`: send events of the past again to one group, by default those that it lost."""

import argparse
from datetime import UTC, datetime

from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.repair import add_sending, run_repair, show_report, watching
from consumer.commands.times import span_argument, time_argument
from consumer.replay import Filter, Request, replay
from schemas.errors import ConfigurationError


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "replay",
        help="send events of the past again to a group: those that it lost, or all",
        description="Send events again that were appended to the topic of webhooks in a range of time: those that the "
        "group lost, or all. What would be done is only said, unless --yes stands there. Ended at any time, the same "
        "command goes on. Exit status: 0 done, 1 interrupted, 2 bad usage or configuration, 3 no answer from Kafka.",
    )
    add_group(command)
    start = command.add_mutually_exclusive_group(required=True)
    start.add_argument("--since", type=time_argument, metavar="TIME", help="the range's start: 2026-11-01T00:00Z")
    start.add_argument("--last", type=span_argument, metavar="SPAN", help="a range up to now: 90s, 15m, 1h, 7d")
    command.add_argument("--until", type=time_argument, metavar="TIME", help="the range's end (default: now)")
    command.add_argument("--tenant", help="only this tenant's")
    command.add_argument("--type", help="only webhooks of this type")
    command.add_argument("--connection", help="only this connection's")
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--only-missing", action="store_true", help="those that neither ended nor wait in the group (the default)"
    )
    which.add_argument("--force", action="store_true", help="all of them; needs --since, and --until or --name")
    command.add_argument("--name", help="the replay's name, by which it is recognised when it is asked for again")
    add_sending(command)
    command.set_defaults(run=lambda options: run_repair(lambda: _run(options)))


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    request = _request(options, datetime.now(UTC))
    with watching(settings, options) as watch:
        report = replay(settings, request, dry_run=not options.yes, watch=watch)
    return show_report(settings, report, options)


def _request(options: argparse.Namespace, now: datetime) -> Request:
    if options.force and options.last is not None:
        raise ConfigurationError(["--force needs --since: with --last the same command later means another range."])
    return Request(
        since=now - options.last if options.since is None else options.since,
        until=options.until,
        filter=Filter(tenant=options.tenant, type=options.type, connection=options.connection),
        force=options.force,
        name=options.name,
        rate=options.rate,
    )

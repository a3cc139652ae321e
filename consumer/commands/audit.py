"""`audit`: every event of the source against how it ended; names what is not accounted for."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from consumer.audit import Counts, Report, audit
from consumer.audit.audit import Progress
from consumer.audit.span import choose_span
from consumer.commands.asking import EXIT_STATUSES, ask
from consumer.commands.machines import add_json, write_json
from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.repair import printable
from consumer.commands.times import span_argument, time_argument
from consumer.moments import moment

_STATUSES = "1: an event is unaccounted for, or its outcome may have expired; " + EXIT_STATUSES


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "audit",
        help="prove that every event ended, waits or is in progress",
        epilog=f"Exit status 0: all is. {_STATUSES}",
    )
    add_group(command)
    command.add_argument(
        "--since", type=time_argument, metavar="TIME", help="events appended from then on: 2026-11-01T00:00Z"
    )
    command.add_argument("--until", type=time_argument, metavar="TIME", help="events appended before then")
    command.add_argument(
        "--last", type=span_argument, metavar="SPAN", help="events appended within the last 90s, 15m, 1h, 7d"
    )
    command.add_argument("--tenant", metavar="NAME", help="events of this tenant only")
    add_json(command)
    command.set_defaults(run=lambda options: ask(lambda: _run(options)))


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    span = choose_span(options.since, options.until, options.last, datetime.now(UTC))
    with _progress() as progress:
        report = audit(settings, span, options.tenant, progress)
    if options.json:
        write_json(settings, report.as_json())
    else:
        _print(report, Console())
    return 0 if report.proven else 1


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show on a terminal how far the reading is."""
    with Bars(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks = {}

        def progress(topic: str, done: int, total: int) -> None:
            if topic not in tasks:
                tasks[topic] = bars.add_task(topic, total=total)
            bars.update(tasks[topic], completed=done, total=total)

        yield progress


def _print(report: Report, console: Console) -> None:
    of = f", {report.tenant}" if report.tenant else ""
    console.print(f"{report.topic}, group {report.group}{of}", markup=False, highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for each in fields(Counts):
        table.add_row(each.name.replace("_", " "), f"{getattr(report.counts, each.name):,}")
    console.print(table)
    for event in report.named:
        time = "?" if event.received is None else moment(int(event.received * 1000))
        line = f"{event.what} {event.place} id={event.id} {event.tenant}/{event.connection} received={time}"
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    for line in _remarks(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _remarks(report: Report) -> Iterator[str]:
    if report.left_out:
        yield f"{report.left_out:,} more are counted and not named."
    if report.before_start:
        yield f"{report.before_start:,} events came before the group's start, and are not counted."
    if report.outcomes_gone:
        numbers = ", ".join(map(str, report.outcomes_gone))
        yield f"The beginning of the outcomes log is gone in partition {numbers}: what may have been there is unknown."
    if report.unreadable:
        yield f"{report.unreadable:,} records of the outcomes or parked topic are none of ours, and say nothing."
    counts = report.counts
    if report.proven:
        yield "Every event is accounted for."
    else:
        yield f"{counts.unaccounted + counts.unknown:,} events are NOT accounted for."

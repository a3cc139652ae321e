"""What the commands that repair have in common: their options, exit statuses, and what they print."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from consumer.commands.machines import add_json, write_json
from consumer.resending import Report
from consumer.watching import Watch, unwatched
from schemas.errors import Permanent, Retryable
from schemas.settings import ConsumerSettings
from schemas.telemetry import configure_logging

DONE, INCOMPLETE, UNUSABLE, NO_ANSWER = 0, 1, 2, 3
"""Exit statuses: all is done; interrupted or incomplete; bad usage or configuration; Kafka did not answer."""

_WIDTH = 1_000


def rate_argument(text: str) -> float:
    """Read a rate: 50 or 50/s. Raises ArgumentTypeError."""
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate above 0 such as 50 or 50/s")
    return rate


def add_sending(command: argparse.ArgumentParser) -> None:
    """Let the command say whether to send, and how fast."""
    command.add_argument("--rate", type=rate_argument, metavar="N/s", help="append at most so many events a second")
    command.add_argument("--yes", action="store_true", help="do it; without, only say what would be done")
    add_json(command)


def run_repair(command: Callable[[], int]) -> int:
    """Run a command to its end and give its exit status; what stops it goes to standard error."""
    try:
        return command()
    except Permanent as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    except Retryable as error:
        sys.stderr.write(f"{error}\nThe same command again goes on where this one ended.\n")
        return NO_ANSWER
    except KeyboardInterrupt:
        return INCOMPLETE


@contextmanager
def watching(settings: ConsumerSettings, options: argparse.Namespace) -> Iterator[Watch]:
    """Log to standard error, and show there how far it is, if a person is looking."""
    configure_logging(settings.log_level, settings.log_format)
    console = Console(stderr=True)
    if options.json or not console.is_terminal:
        yield unwatched
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what)
            progress.update(tasks[what], completed=done, total=total or None)

        yield watch


def show_report(settings: ConsumerSettings, report: Report, options: argparse.Namespace) -> int:
    """Print what was done, or would be, and give the exit status."""
    if options.json:
        write_json(settings, _as_fields(report))
    else:
        _print(report)
    return DONE if report.complete else INCOMPLETE


def printable(text: str) -> str:
    """Make a text from outside harmless to a terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def new_table(*columns: str) -> Table:
    """Make a table of texts, none of which is read as markup."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def print_table(table: Table) -> None:
    """Print a table with a line for each row, however narrow the terminal: for `grep`, and to be read at all."""
    Console(width=_WIDTH).print(table)


def _as_fields(report: Report) -> Mapping[str, object]:
    return {
        "replay": report.replay,
        "dry_run": report.dry_run,
        "complete": report.complete,
        "events": report.events,
        "tenants": [{"tenant": tenant, "events": count} for tenant, count in sorted(report.tenants.items())],
        "unreadable": report.unreadable,
        "unknown": report.unknown,
        "ended_otherwise": report.ended_otherwise,
        "seconds": report.seconds,
    }


def _print(report: Report) -> None:
    console = Console()
    if report.tenants:
        table = new_table("tenant", "events")
        for tenant, count in sorted(report.tenants.items()):
            table.add_row(Text(tenant), f"{count:,}")
        print_table(table)
    for sentence in sentences(report):
        console.print(Text(sentence))


def sentences(report: Report) -> Iterator[str]:
    """Say what a report says, for people."""
    took = "" if report.seconds is None else f", in {timedelta(seconds=round(report.seconds))} at {report.rate:g}/s"
    if report.dry_run and not report.events:
        yield f"Nothing would be sent again to group {report.group}."
    elif report.dry_run:
        yield f"{report.events:,} events would be sent again to group {report.group}{took}. To do it, add --yes."
    else:
        yield f"{report.events:,} events were sent again to group {report.group} ({printable(report.replay)})."
    if report.unreadable:
        yield f"{report.unreadable:,} records are no events and cannot be sent again: their sender has to."
    if report.ended_otherwise:
        yield (
            f"{report.ended_otherwise:,} letters are of events that ended otherwise after all, such as applied by "
            "whoever took over: they are left out."
        )
    if report.unknown:
        yield (
            f"{report.unknown:,} letters are older than the topic of webhooks: whether they were sent again already "
            "cannot be known. To send them, add --expired."
        )
    if not report.complete:
        yield "It was interrupted: the same command again goes on where this one ended."

"""`failures`: the table that says what comes next after a failed call."""

import argparse

from consumer.commands.options import Commands
from consumer.failures import page


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser("failures", help="print what comes next after each failure, as in docs/failures.md")
    command.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    print(page(), end="")  # noqa: T201 - a command's answer
    return 0

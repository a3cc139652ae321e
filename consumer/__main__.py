"""`python -m consumer`: the commands of the consumer."""

import argparse
import sys
from collections.abc import Sequence

from consumer.commands import audit, dead, failures, replay, run, status, why

_COMMANDS = (run, why, status, audit, replay, dead, failures)


def main(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; give the exit status."""
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m consumer", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

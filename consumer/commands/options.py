"""Options that several commands share, and the settings that they lie above."""

import argparse
from typing import TYPE_CHECKING

from schemas.settings import ConsumerSettings, load

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it nowhere else
else:
    Commands = object


def add_group(command: argparse.ArgumentParser) -> None:
    """Let the command name the group that it is about."""
    command.add_argument("--group", metavar="NAME", help="the group; above FUSE_SYNC_GROUP (default: sync)")


def load_settings(options: argparse.Namespace) -> ConsumerSettings:
    """Read the settings, with what the command line says above them. Raises ConfigurationError."""
    given = {name: value for name in ("group", "handler") if (value := getattr(options, name, None))}
    return load(ConsumerSettings, **given)

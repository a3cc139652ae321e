"""What the commands write for machines: one JSON object a line, the same names for the same things in all of them."""

import argparse
import json
import sys
from collections.abc import Mapping

import orjson

from schemas.settings import ConsumerSettings


def add_json(command: argparse.ArgumentParser) -> None:
    """Let the command write for machines."""
    command.add_argument("--json", action="store_true", help="one JSON object, for machines")


def write_json(settings: ConsumerSettings, fields: Mapping[str, object]) -> None:
    """Write one JSON object as a line: topic and group, and these fields. Times in them are texts already."""
    line = {"topic": settings.topic, "group": settings.group, **fields}
    sys.stdout.write(_to_json(line) + "\n")


def _to_json(line: Mapping[str, object]) -> str:
    """Write whatever is in it: texts from outside may hold lone surrogates, which orjson refuses."""
    try:
        return orjson.dumps(line).decode()
    except TypeError:
        return json.dumps(line)

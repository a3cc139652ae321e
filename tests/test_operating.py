"""The night guide has an entry for every line that may wake somebody."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from schemas.telemetry import LogEvent

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "operating.md"
ALARMING = frozenset({"warning", "error", "exception", "critical", "raised", "happened"})
"""Methods of loggers, and of `Alarms`, that write at level warning or above."""


def alarming_calls(source: str) -> Iterator[str]:
    """Find the names of the log events that a module writes at level warning or above."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ALARMING:
            named = [inner for argument in node.args[:1] for inner in ast.walk(argument)]
            for inner in named:
                if isinstance(inner, ast.Attribute) and ast.unparse(inner.value) == "LogEvent":
                    yield LogEvent[inner.attr].value


def alarming_events() -> set[str]:
    """Find them in all that runs in production."""
    modules = [path for folder in ("ingress", "broker", "consumer") for path in (ROOT / folder).rglob("*.py")]
    return {event for path in modules for event in alarming_calls(path.read_text(encoding="utf-8"))}


def entries() -> list[str]:
    """List what the guide's table of alarms has."""
    return re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_line_that_may_wake_somebody_is_in_the_guide() -> None:
    """Who reads it at night has not read the code."""
    found = alarming_events()
    assert {"frontier.pinned", "member.failed", "dead.written"} <= found
    assert found <= {*entries()}


def test_no_line_is_there_twice() -> None:
    """One of two entries would be out of date."""
    assert len(entries()) == len({*entries()})


def test_a_line_without_an_entry_would_be_found() -> None:
    """However it is written: by a logger of its own, by one at hand, as an alarm, or one of two."""
    source = (
        "structlog.get_logger().warning(LogEvent.PARTITION_LOST)\n"
        "self._log.error(LogEvent.HISTORY_EXPIRED if a else LogEvent.DEAD_CUT)\n"
        "alarms.raised(LogEvent.FRONTIER_PINNED, '0')\n"
        "log.info(LogEvent.EVENT_ENDED)\n"
    )
    assert {*alarming_calls(source)} == {"partition.lost", "history.expired", "dead.cut", "frontier.pinned"}

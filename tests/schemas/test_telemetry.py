"""Logs: whatever text comes from outside, a line is written."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from schemas.telemetry import LogEvent, configure_logging


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Leave logging as it was found."""
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With its name, its level and its time."""
    configure_logging("info", "json")
    structlog.get_logger().info(LogEvent.EVENT_ENDED, attempts=2)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["attempts"]) == ("event.ended", "info", 2)
    assert "timestamp" in line


def test_a_lone_surrogate_in_a_field_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A signed webhook may name a connection that UTF-8 cannot hold; logging it once ended the member."""
    configure_logging("info", "json")
    structlog.get_logger().warning(LogEvent.EVENT_DELAYED, connection="\ud800")
    assert json.loads(capsys.readouterr().err)["connection"] == "\ud800"


def test_what_a_library_logs_has_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    """So that one parser reads all lines of a process."""
    configure_logging("info", "json")
    logging.getLogger("librdkafka").warning("broker %s went away", "one")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["library"], line["message"]) == ("library.logged", "librdkafka", "broker one went away")


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Of ours and of libraries alike."""
    configure_logging("error", "console")
    structlog.get_logger().warning(LogEvent.EVENT_DELAYED)
    logging.getLogger("librdkafka").warning("broker went away")
    assert capsys.readouterr().err == ""

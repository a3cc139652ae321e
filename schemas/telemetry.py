"""Names of log events and fields, declared once, and how logs are written.

A log line never holds a body, a key or a credential: only the fields below exist.
"""

import logging
import sys
from enum import StrEnum

import orjson
import structlog


class LogEvent(StrEnum):
    """Every log line's name, `noun.verbed`."""

    INGRESS_STARTED = "ingress.started"
    INGRESS_STOPPED = "ingress.stopped"
    WEBHOOK_ACCEPTED = "webhook.accepted"
    WEBHOOK_REFUSED = "webhook.refused"
    WEBHOOK_DELAYED = "webhook.delayed"
    REQUEST_FAILED = "request.failed"
    TOPIC_CREATED = "topic.created"
    TOPIC_EXTENDED = "topic.extended"
    BROKER_TROUBLED = "broker.troubled"
    MEMBER_STARTED = "member.started"
    MEMBER_FAILED = "member.failed"
    MEMBER_STOPPED = "member.stopped"
    PARTITION_ASSIGNED = "partition.assigned"
    PARTITION_STARTED = "partition.started"
    TAKEOVER_DELAYED = "takeover.delayed"
    FRONTIER_PINNED = "frontier.pinned"
    PARTITION_RELEASED = "partition.released"
    PARTITION_LOST = "partition.lost"
    COMMIT_FAILED = "commit.failed"
    EVENT_ENDED = "event.ended"
    EVENT_DELAYED = "event.delayed"
    RECORD_UNREADABLE = "record.unreadable"
    HISTORY_EXPIRED = "history.expired"


def configure_logging(level: str, form: str) -> None:
    """Write logs to standard error: `form` is "json" for one JSON object a line, or "console" for people.

    `level` is the least level written: "debug", "info", "warning" or "error".
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *_renderers(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_logger_factory(form),
        cache_logger_on_first_use=True,
    )


def _renderers(form: str) -> list[structlog.typing.Processor]:
    if form == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.JSONRenderer(serializer=orjson.dumps)]


def _logger_factory(form: str) -> structlog.PrintLoggerFactory | structlog.BytesLoggerFactory:
    if form == "console":
        return structlog.PrintLoggerFactory(sys.stderr)
    return structlog.BytesLoggerFactory(sys.stderr.buffer)

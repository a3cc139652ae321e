"""Names of log events and fields, declared once, and how logs are written.

A log line never holds a body, a key or a credential: only the fields below exist.
"""

import json
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
    TENANTS_LOADED = "tenants.loaded"
    TENANTS_REFUSED = "tenants.refused"
    TOPIC_CREATED = "topic.created"
    TOPIC_EXTENDED = "topic.extended"
    BROKER_TROUBLED = "broker.troubled"
    SESSION_UNCHECKED = "session.unchecked"
    GROUP_BEGUN = "group.begun"
    GROUP_RESUMED = "group.resumed"
    MEMBER_STARTED = "member.started"
    PAGE_OPENED = "page.opened"
    MEMBER_FAILED = "member.failed"
    MEMBER_STOPPED = "member.stopped"
    PARTITION_ASSIGNED = "partition.assigned"
    PARTITION_STARTED = "partition.started"
    TAKEOVER_DELAYED = "takeover.delayed"
    FRONTIER_PINNED = "frontier.pinned"
    FRONTIER_FREED = "frontier.freed"
    PARTITION_RELEASED = "partition.released"
    PARTITION_LOST = "partition.lost"
    COMMIT_FAILED = "commit.failed"
    DRAIN_BEGUN = "drain.begun"
    DRAIN_MEASURED = "drain.measured"
    DRAIN_DELAYED = "drain.delayed"
    DRAIN_FINISHED = "drain.finished"
    EVENTS_MISPLACED = "events.misplaced"
    EVENT_ENDED = "event.ended"
    EVENT_DELAYED = "event.delayed"
    EVENT_FAILED = "event.failed"
    DEAD_WRITTEN = "dead.written"
    DEAD_CUT = "dead.cut"
    DESTINATION_HELD = "destination.held"
    DESTINATION_RELEASED = "destination.released"
    MEMBER_MEASURED = "member.measured"
    PARKED_KEPT = "parked.kept"
    TENANT_MISCONFIGURED = "tenant.misconfigured"
    TENANT_RECOVERED = "tenant.recovered"
    ANSWER_ODD = "answer.odd"
    RECORD_UNREADABLE = "record.unreadable"
    LIBRARY_LOGGED = "library.logged"
    HISTORY_EXPIRED = "history.expired"


def configure_logging(level: str, form: str) -> None:
    """Write logs to standard error: `form` is "json" for one JSON object a line, or "console" for people.

    `level` is the least level written: "debug", "info", "warning" or "error". What libraries log comes out in the same
    form, as `library.logged`.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_STAMPS, *_renderers(form)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _name_library, *_STAMPS],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form)],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)


_STAMPS: tuple[structlog.typing.Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def _renderers(form: str) -> list[structlog.typing.Processor]:
    if form == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.JSONRenderer(serializer=_to_json)]


def _to_json(line: structlog.typing.EventDict, **_: object) -> str:
    """Write a line whatever is in it: texts from outside may hold lone surrogates, which orjson refuses."""
    try:
        return orjson.dumps(line).decode()
    except TypeError:
        return json.dumps(line, default=repr)


def _name_library(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    line["message"] = line["event"]
    line["library"] = line.pop("logger")
    line["event"] = LogEvent.LIBRARY_LOGGED
    return line

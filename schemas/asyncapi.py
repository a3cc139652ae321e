"""The topics as AsyncAPI 3.0 describes them: for everyone who reads them with a client of their own."""

from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from schemas import dead, parked
from schemas.event import TENANT_NAME, Environment
from schemas.json_schema import JsonObject, dead_letter_schema, outcome_schema, parked_schema, webhook_schema
from schemas.settings import PipelineSettings, variable
from schemas.topics import TopicSpec, group_specs, source_spec

_BINDING = "0.5.0"
"""Version of AsyncAPI's Kafka bindings."""
_SCHEMAS = "#/components/schemas/"


def topics_document() -> JsonObject:
    """Describe the topics: the source, and the three that belong to a group."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO | {"version": version("fuse-sync")},
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": {
            "publishEvent": _operation("send", "webhooks", "event", "Ingress publishes every verified webhook."),
            "handleEvent": _operation("receive", "webhooks", "event", "Each group handles every event, lane by lane."),
            "recordOutcome": _operation("send", "outcomes", "outcome", "A member records how an event ended."),
            "readBackOutcomes": _operation(
                "receive", "outcomes", "outcome", "A member that takes a partition over reads back what has ended."
            ),
            "parkEvent": _operation("send", "parked", "parked", "A member writes down that an event has to wait."),
            "settleEvent": _operation(
                "send", "parked", "note", "A member writes down that an event which waited has ended."
            ),
            "readBackParked": _operation(
                "receive", "parked", "parked", "A member that takes a partition over reads back what waits."
            ),
            "giveUp": _operation("send", "dead", "deadLetter", "A member gives a record up."),
        },
        "components": {
            "messages": {
                "event": _EVENT,
                "outcome": _OUTCOME,
                "parked": _PARKED,
                "note": _NOTE,
                "deadLetter": _DEAD_LETTER,
            },
            "schemas": _schemas(),
        },
    }


def _channels() -> JsonObject:
    source, outcomes, parked_log, dead_letters = _specs()
    of_group = {"parameters": _GROUP_PARAMETER}
    return {
        "webhooks": _channel(source, ("event",), _WEBHOOKS_TEXT),
        "outcomes": _channel(outcomes, ("outcome",), _OUTCOMES_TEXT) | of_group,
        "parked": _channel(parked_log, ("parked", "note"), _PARKED_TEXT) | of_group,
        "dead": _channel(dead_letters, ("deadLetter",), _DEAD_TEXT) | of_group,
    }


_INFO: JsonObject = {
    "title": "fuse-sync topics",
    "description": (
        "Verified Fuse webhooks, how each of them ended, which of them wait, and which were given up. Any Kafka client "
        "may read all topics with a consumer group of its own; only fuse-sync writes them. Names, partitions and "
        "retention are those of the default settings. A key's partition is that of Java's default partitioner "
        "(murmur2); what belongs to a group lies in the partition of the source partition's number."
    ),
    "license": {"name": "Apache-2.0"},
}
_WEBHOOKS_TEXT = (
    "Every verified webhook, in the CloudEvents 1.0 binary binding for Kafka. Per key, order is that of arrival; "
    f"delivery is at least once, and `ce_id` names the event for ever. Renamed by `{variable('topic')}`."
)
_OUTCOMES_TEXT = (
    "One small record per event that ended and one per takeover, in the partition of the source partition's number. "
    "An event that was handled again after a crash has one for each time."
)
_PARKED_TEXT = (
    "A journal of events that wait in a group: for their next attempt, behind their lane, or for room. Of several "
    "records about one event the last counts, unless a later takeover had been marked before it. What is settled is "
    "deleted from the beginning of the log; what waits never expires."
)
_DEAD_TEXT = (
    "Records that a group gave up: key, value and headers as they were received, and why. A record that is no event is "
    "here raw, whatever it holds. One that was given up again after a crash is here for each time."
)
_GROUP_PARAMETER: JsonObject = {
    "group": {"description": "The group that handles the event.", "default": "sync", "examples": ["sync"]}
}
_ENCODED = 'Percent-encoded UTF-8: whatever is not printable ASCII, the space, `"` and `%`.'
_PLAIN = r"^[!#-~]+$"


def _header(description: str, **constraints: object) -> JsonObject:
    return {"type": "string", "description": description, **constraints}


EVENT_HEADERS: JsonObject = {
    "type": "object",
    "description": "Header values as text; all of them are ASCII. No header stands twice, and others may be added.",
    "required": [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"),
        *("ce_tenant", "ce_environment", "ce_fuseverification"),
    ],
    "properties": {
        "ce_specversion": _header("CloudEvents version.", const="1.0"),
        "ce_id": _header("The event's identity for ever, a UUIDv7 given by the ingress.", format="uuid"),
        "ce_source": _header(
            "The tenant and its environment.", pattern=rf"^/tenants/{TENANT_NAME}/(sandbox|production)$"
        ),
        "ce_type": _header(
            f"The webhook's `type`; `fuse.untyped` if it has none. {_ENCODED}",
            pattern=_PLAIN,
            examples=["financial_connection.sync_data"],
        ),
        "ce_subject": _header(
            f"The connection: the webhook's `financial_connection_id`; absent if it has none. {_ENCODED}",
            pattern=_PLAIN,
        ),
        "ce_time": _header("When the ingress received the webhook, in UTC (RFC 3339).", format="date-time"),
        "content-type": _header("The value is the webhook's body.", const="application/json"),
        "ce_tenant": _header("The tenant.", pattern=f"^{TENANT_NAME}$"),
        "ce_environment": _header("Whose key signed the webhook.", enum=[*Environment]),
        "ce_aggregator": _header(
            f"The webhook's `source`; absent if it names none. {_ENCODED}", pattern=_PLAIN, examples=["plaid"]
        ),
        "ce_fuseverification": _header("The value of the `fuse-verification` header.", pattern=_PLAIN),
        "traceparent": _header("W3C trace context, when tracing is on.", pattern=_PLAIN),
        "ce_generation": _header(
            "How often the event was deliberately sent again; absent at first.", pattern="^[1-9][0-9]{0,8}$"
        ),
        "ce_fusegroup": _header(
            "The one group for which the event was sent again; all others ignore it. Absent where it is for everybody.",
            pattern=_PLAIN,
            examples=["sync"],
        ),
        "ce_fusereplay": _header("What sent the event again: a replay by its id, or `redrive`.", pattern=_PLAIN),
    },
}
"""The headers of an event's record, with their values as text."""


_EVENT: JsonObject = {
    "name": "event",
    "title": "Verified webhook",
    "description": "The value is the webhook's body, byte for byte as it was received.",
    "contentType": "application/json",
    "headers": EVENT_HEADERS,
    "payload": {"$ref": f"{_SCHEMAS}Webhook"},
    "bindings": {
        "kafka": {
            "key": {
                "type": "string",
                "description": f"The lane: `tenant/connection`, the connection encoded as in `ce_subject`. {_ENCODED}",
                "pattern": rf"^{TENANT_NAME}/[!#-~]*$",
            },
            "bindingVersion": _BINDING,
        }
    },
}
_OUTCOME: JsonObject = {
    "name": "outcome",
    "title": "Outcome record",
    "description": "Records have an empty key and no headers: their partition says what they belong to.",
    "contentType": "application/json",
    "payload": {"$ref": f"{_SCHEMAS}OutcomeRecord"},
}


def _note(description: str, schema: str) -> JsonObject:
    """Describe a header of ours, whose value is JSON."""
    content = {"contentMediaType": "application/json", "contentSchema": {"$ref": f"{_SCHEMAS}{schema}"}}
    return _header(description, **content)


def _headers(name: str, note: JsonObject) -> JsonObject:
    return {"type": "object", "required": [name], "properties": {name: note}}


_PARKED_HEADER = _note("Why the event waits; the last header of this name, where it stands twice.", "ParkedNote")
_PARKED: JsonObject = {
    "name": "parked",
    "title": "Event that waits",
    "description": "The event's own record, with one header more: its note, of the kind `park`.",
    "contentType": "application/json",
    "headers": EVENT_HEADERS
    | {
        "required": [*EVENT_HEADERS["required"], parked.HEADER],
        "properties": EVENT_HEADERS["properties"] | {parked.HEADER: _PARKED_HEADER},
    },
    "payload": {"$ref": f"{_SCHEMAS}Webhook"},
    "bindings": _EVENT["bindings"],
}
_NOTE: JsonObject = {
    "name": "note",
    "title": "Note",
    "description": "That an event which waited has ended, or that a member took the partition over. The key is empty, "
    "there is no value, and the note, of the kind `settle` or `taken`, is the only header.",
    "headers": _headers(parked.HEADER, _note("What it says.", "ParkedNote")),
    "payload": {"type": "null"},
}
_DEAD_LETTER: JsonObject = {
    "name": "deadLetter",
    "title": "Dead letter",
    "description": "An event's own record, or whatever else was read from the source; behind its headers one of ours. "
    "Without that one it can be published again as it was.",
    "contentType": "application/octet-stream",
    "headers": _headers(
        dead.HEADER, _note("Why it is here; the last header of this name, where it stands twice.", "DeadLetter")
    ),
}


def _specs() -> tuple[TopicSpec, ...]:
    """Describe the source, and the outcomes, parked and dead-letter topics of any group, by the default settings."""
    topic, max_body_bytes = _default("topic"), _default("max_body_bytes")
    retention = timedelta(seconds=_default("topic_retention_seconds"))
    source = source_spec(topic, retention=retention, max_body_bytes=max_body_bytes)
    return source, *group_specs(topic, "{group}", retention=retention, max_body_bytes=max_body_bytes)


def _default(setting: str) -> Any:  # noqa: ANN401 - whatever the setting's type is
    return PipelineSettings.model_fields[setting].default


def _channel(spec: TopicSpec, messages: Sequence[str], description: str) -> JsonObject:
    return {
        "address": spec.name,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "bindings": {"kafka": _topic_binding(spec)},
    }


def _topic_binding(spec: TopicSpec) -> JsonObject:
    numbers = ("retention.ms", "retention.bytes", "max.message.bytes")
    return {
        "partitions": _default("topic_partitions"),
        "topicConfiguration": {
            "cleanup.policy": [spec.config["cleanup.policy"]],
            **{name: int(spec.config[name]) for name in numbers},
        },
        "bindingVersion": _BINDING,
    }


def _operation(action: str, channel: str, message: str, summary: str) -> JsonObject:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "summary": summary,
    }


def _schemas() -> JsonObject:
    outcome, note = outcome_schema(_SCHEMAS), parked_schema(_SCHEMAS)
    definitions = outcome.pop("$defs") | note.pop("$defs")
    return {
        "Webhook": webhook_schema(),
        "OutcomeRecord": outcome,
        "ParkedNote": note,
        "DeadLetter": dead_letter_schema(),
        **definitions,
    }

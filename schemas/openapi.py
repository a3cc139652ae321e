"""The ingress as OpenAPI 3.1 describes it: for whoever sends webhooks, or probes the process."""

from importlib.metadata import version

from schemas.event import TENANT_NAME
from schemas.json_schema import JsonObject, webhook_schema
from schemas.settings import IngressSettings, variable


def ingress_document() -> JsonObject:
    """Describe every route of the ingress and every answer that it gives."""
    return {
        "openapi": "3.1.0",
        "info": _INFO | {"version": version("fuse-sync")},
        "paths": {
            "/webhooks/{tenant}": {"post": _receive()},
            "/healthz": {method: _probe("isAlive", method, _ALIVE, _ALIVE_ANSWERS) for method in _PROBE_METHODS},
            "/readyz": {method: _probe("isReady", method, _READY, _READY_ANSWERS) for method in _PROBE_METHODS},
        },
        "components": {
            "schemas": {"Webhook": webhook_schema(), "Accepted": _ACCEPTED, "Message": _MESSAGE, "Health": _HEALTH}
        },
    }


def _answer(description: str, schema: str, headers: JsonObject | None = None) -> JsonObject:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    answer: JsonObject = {"description": description, "content": content}
    return answer if headers is None else answer | {"headers": headers}


_INFO: JsonObject = {
    "title": "fuse-sync ingress",
    "description": "Receives webhooks of Fuse, verifies them and answers 200 once Kafka has them durably.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_ACCEPTED: JsonObject = {
    "type": "object",
    "description": "The webhook is durable in Kafka.",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "The event's identity for ever: `ce_id` on Kafka."}
    },
}
_MESSAGE: JsonObject = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string", "description": "What was wrong, and what to do."}},
}
_HEALTH: JsonObject = {
    "type": "object",
    "required": ["status", "reasons"],
    "properties": {
        "status": {"type": "string", "enum": ["ok", "unavailable"]},
        "reasons": {"type": "array", "items": {"type": "string"}, "description": "Why not; empty if all is well."},
    },
}
_RETRY_AFTER: JsonObject = {
    "Retry-After": {
        "description": "Send it again after so many seconds, not earlier.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_ALLOW: JsonObject = {
    "Allow": {"description": "The methods that the path knows.", "required": True, "schema": {"type": "string"}}
}
_NO_METHOD = _answer("The path knows other methods only.", "Message", _ALLOW)
_UNREADABLE = "The request is not well-formed HTTP/1.1, or its headers are too large"
RECEIVE_ANSWERS: JsonObject = {
    "200": _answer("Accepted: the webhook is durable in Kafka.", "Accepted"),
    "400": _answer(
        "The body is not one JSON text in UTF-8, nests too deep, repeats a key in one object or has a key "
        f"`__proto__`, or it broke off. {_UNREADABLE}.",
        "Message",
    ),
    "403": _answer(
        "The signature is missing or wrong, stands there twice, or the tenant is unknown. On purpose one answer for "
        "all of them.",
        "Message",
    ),
    "404": _answer("There is no such path; a tenant's name has no slash.", "Message"),
    "405": _NO_METHOD,
    "408": _answer(f"The body did not arrive within `{variable('ingress_body_timeout_seconds')}`.", "Message"),
    "413": _answer(f"The body is larger than `{variable('max_body_bytes')}`.", "Message"),
    "415": _answer("The body is declared to be something else than JSON, or to be compressed.", "Message"),
    "429": _answer("The tenant is over its ingest limit. The webhook is not stored.", "Message", _RETRY_AFTER),
    "503": _answer(
        "The webhook is not known to be stored: Kafka did not acknowledge it within "
        f"`{variable('ingress_acknowledge_seconds')}`, or this process is full or stopping.",
        "Message",
        _RETRY_AFTER,
    ),
}
"""What a POST of a webhook may be answered."""

_PARAMETERS: list[JsonObject] = [
    {
        "name": "tenant",
        "in": "path",
        "required": True,
        "description": "The tenant's name in the tenants file.",
        "schema": {"type": "string", "pattern": f"^{TENANT_NAME}$"},
    },
    {
        "name": "fuse-verification",
        "in": "header",
        "required": True,
        "description": (
            "Base64 of the HMAC-SHA256, keyed with the tenant's Fuse API key, over the body's canonical text: as "
            "JavaScript writes it, with the keys of every object sorted."
        ),
        "schema": {"type": "string", "minLength": 44, "maxLength": 44},
    },
]
_BODY: JsonObject = {
    "required": True,
    "description": (
        "The webhook as Fuse sends it. What is verified is accepted, whether it follows the schema or not. At most "
        f"{IngressSettings.model_fields['max_body_bytes'].default} bytes unless `{variable('max_body_bytes')}` says "
        "otherwise."
    ),
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Webhook"}}},
}
_PROBE_METHODS = ("get", "head")
_ALIVE = "Tell whether the process is alive"
_READY = "Tell whether the process can publish"
_ALIVE_ANSWERS: JsonObject = {
    "200": _answer("The process is alive.", "Health"),
    "405": _NO_METHOD,
}
_READY_ANSWERS: JsonObject = {
    "200": _answer("Send webhooks here.", "Health"),
    "405": _NO_METHOD,
    "503": _answer("Send webhooks elsewhere: this process cannot publish, or is stopping.", "Health"),
}


def _receive() -> JsonObject:
    return {
        "operationId": "receiveWebhook",
        "summary": "Take in one webhook",
        "parameters": _PARAMETERS,
        "requestBody": _BODY,
        "responses": RECEIVE_ANSWERS,
    }


def _probe(name: str, method: str, summary: str, answers: JsonObject) -> JsonObject:
    if method == "head":
        answers = {status: _without_content(answer) for status, answer in answers.items()}
    operation = name if method == "get" else f"{name}Head"
    return {"operationId": operation, "summary": summary, "responses": answers}


def _without_content(answer: JsonObject) -> JsonObject:
    return {name: value for name, value in answer.items() if name != "content"}

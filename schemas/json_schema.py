"""JSON Schemas of what travels: the webhook's body, outcomes, and the notes of what is parked or dead."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.dead import DeadLetter
from schemas.outcome import OutcomeRecord
from schemas.parked import ParkedNote
from schemas.webhook import Webhook

DEFINITIONS = "#/$defs/"
"""Where JSON Schema keeps what a schema refers to."""

JsonObject = dict[str, Any]
"""A JSON object that is written out and never read by us."""


def webhook_schema() -> JsonObject:
    """Describe the body of a webhook: a description, not a gate."""
    described = Webhook.model_json_schema(schema_generator=_Untitled)
    described["description"] = (
        "The body of a webhook as Fuse documents it, for those who read bodies. The ingress publishes whatever is "
        "verified, whether it is like this or not."
    )
    return described


def outcome_schema(definitions: str = DEFINITIONS) -> JsonObject:
    """Describe the records of the outcomes topic as they are written.

    References begin with `definitions`; what they refer to is under `$defs` all the same.
    """
    return {"title": "OutcomeRecord", "description": _OUTCOME_TEXT, **_one_of(OutcomeRecord, definitions)}


def parked_schema(definitions: str = DEFINITIONS) -> JsonObject:
    """Describe the notes of the parked topic as they are written; references are as in `outcome_schema`."""
    return {"title": "ParkedNote", "description": _PARKED_TEXT, **_one_of(ParkedNote, definitions)}


def dead_letter_schema() -> JsonObject:
    """Describe the note of a dead letter as it is written."""
    return DeadLetter.model_json_schema(schema_generator=_Written, mode="serialization")


def _one_of(kinds: Any, definitions: str) -> JsonObject:  # noqa: ANN401 - a union, which has no type of its own
    described = TypeAdapter(kinds).json_schema(
        schema_generator=_Written, mode="serialization", ref_template=definitions + "{model}"
    )
    # OpenAPI's word, which JSON Schema does not know; the constant `record` parts the kinds anyway.
    del described["discriminator"]
    return described


_OUTCOME_TEXT = "How an event ended, or that a member took the partition over. Later versions may add members."
_PARKED_TEXT = (
    "The header `fuse_parked`: why an event waits, that one of them has ended, or that a member took the partition "
    "over. Later versions may add members."
)


class _Untitled(GenerateJsonSchema):
    """Leave out titles that only repeat a member's name."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


class _Written(_Untitled):
    """Describe what is written, not what is accepted: what is absent, or 0 by default, is left out; nothing is null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: ARG002, FBT001 - pydantic's signature
    ) -> bool:
        return field["schema"].get("default", ...) not in {None, 0}

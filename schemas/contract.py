"""The contract: what others may build on, as documents in formats that their tools read.

The committed copies are in docs/contract/.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from schemas.asyncapi import topics_document
from schemas.json_schema import JsonObject, dead_letter_schema, outcome_schema, parked_schema, webhook_schema
from schemas.openapi import ingress_document

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> Mapping[str, str]:
    """Give the text of every document, by the name of its file."""
    contents = {
        "webhook.schema.json": {"$schema": _DIALECT, **webhook_schema()},
        "outcome.schema.json": {"$schema": _DIALECT, **outcome_schema()},
        "parked.schema.json": {"$schema": _DIALECT, **parked_schema()},
        "dead-letter.schema.json": {"$schema": _DIALECT, **dead_letter_schema()},
        "openapi.json": ingress_document(),
        "asyncapi.json": topics_document(),
    }
    return {name: _text(content) for name, content in contents.items()}


def write(directory: Path) -> None:
    """Write every document into `directory`, which is made if it is not there. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (directory / name).write_text(text, encoding="utf-8")


def _text(content: JsonObject) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

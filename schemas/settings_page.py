"""The reference page of all settings, made from their declarations."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.settings import PREFIX, ConsumerSettings, IngressSettings, PipelineSettings, variable

_SECTIONS = {
    PipelineSettings: "Ingress and consumer",
    IngressSettings: "Ingress",
    ConsumerSettings: "Consumer",
}


def reference_page() -> str:
    """Render the reference page of all settings, in Markdown."""
    sections = [_section(title, _own_fields(kind)) for kind, title in _SECTIONS.items()]
    return "\n".join([_PREAMBLE, *sections])


_PREAMBLE = f"""# Settings

Environment variables with the prefix `{PREFIX}`, or lines of a `.env` file in the working directory; the environment
wins. Bad settings are reported all together and stop the start. A variable with the prefix that nothing reads is a
fault too. This page is generated: `make docs`.
"""


def _own_fields(kind: type[PipelineSettings]) -> dict[str, FieldInfo]:
    inherited = set(PipelineSettings.model_fields) if kind is not PipelineSettings else set()
    return {name: field for name, field in kind.model_fields.items() if name not in inherited}


def _section(title: str, fields: Mapping[str, FieldInfo]) -> str:
    rows = [_row(name, field) for name, field in fields.items()]
    return "\n".join(
        [f"## {title}", "", "| variable | type, unit | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _row(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    kind = f"{_type_name(field)}, {extra['unit']}"
    return f"| `{variable(name)}` | {kind} | {_default(field)} | {field.description} |"


def _type_name(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in {Union, UnionType}:
        return " or ".join(part.__name__ for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is dict:
        return "dict"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, {}):
        return "empty"
    return f"`{field.default}`"

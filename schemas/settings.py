"""Every setting: environment variables with the prefix FUSE_SYNC_, or a `.env` file in the working directory.

The only module that reads the environment. The reference page is generated from the declarations below.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import orjson
from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import ConfigurationError
from schemas.topics import is_legal_name
from schemas.urls import BASE_URL_RULE, is_base_url

PREFIX = "FUSE_SYNC_"
ENVIRON: Mapping[str, str] = os.environ
"""The process's environment, for what refers to its variables by name: secrets of the tenants file."""
DOTENV = Path(".env")
STEPS = ("retry", "down", "misconfigured", "ignored", "dead")
"""What can be set for a code or status of an answer; see `consumer.failures`."""


def _setting(default: object, unit: str, description: str, **bounds: float) -> Any:  # noqa: ANN401 - as pydantic's Field
    field: Callable[..., Any] = Field
    return field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


def _topic_name(name: str) -> str:
    if not is_legal_name(name):
        raise ValueError("must be 1 to 249 of letters, digits, '.', '_' and '-'")
    return name


def _json_object(value: object) -> object:
    pairs = _json_pairs(value)
    if not isinstance(pairs, dict) or pairs is value:
        return value
    return {name: _librdkafka_text(name, setting) for name, setting in pairs.items()}


def _json_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        pairs = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(pairs, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return pairs


def _steps(value: object) -> object:
    steps = _json_pairs(value)
    if isinstance(steps, dict) and not all(step in STEPS for step in steps.values()):
        raise ValueError(f"must say one of {', '.join(STEPS)} for each code or status")
    return steps


def _librdkafka_text(name: str, setting: object) -> str:
    if not isinstance(setting, str | int | float):
        raise ValueError(f"{name} must be a text, a number or a boolean")  # noqa: TRY004 - as above
    return str(setting).lower() if isinstance(setting, bool) else str(setting)


def _base_url(url: str) -> str:
    if not is_base_url(url):
        raise ValueError(BASE_URL_RULE)
    return url.rstrip("/")


TopicName = Annotated[str, AfterValidator(_topic_name)]
Steps = Annotated[dict[str, str], NoDecode, BeforeValidator(_steps)]
ClientSettings = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_json_object)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


class PipelineSettings(BaseSettings):
    """What ingress and consumer share."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=DOTENV,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
    )

    kafka_bootstrap_servers: str = _setting(
        ...,
        "host:port, comma-separated",
        "Brokers to begin with; the rest of the cluster is found from them.",
        min_length=1,
    )
    kafka_client: ClientSettings = _setting(
        {},
        "JSON object",
        "librdkafka settings for every client, above our own: TLS, SASL, buffers. Example: "
        '`{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", '
        '"sasl.password": "p"}`.',
    )
    tenants_file: Path = _setting(
        ..., "path", "The TOML file of tenants; check it with `python -m schemas check-tenants FILE`."
    )
    topic: TopicName = _setting("fuse.webhooks", "topic name", "The topic of verified webhooks.")
    topic_partitions: int = _setting(
        12,
        "partitions",
        "Partitions of the topics that the start-up check creates. More than the topic has: extended "
        "only while it is empty, since more partitions move keys.",
        ge=1,
        le=10_000,
    )
    topic_replication_factor: int | None = _setting(
        None,
        "replicas",
        "Replicas of the topics that the start-up check creates; empty: 3, or as many as there are brokers if fewer.",
        ge=1,
    )
    topic_retention_seconds: float = _setting(
        604_800.0,
        "seconds",
        "How long the topic keeps webhooks, and so how far back replay reaches.",
        ge=60,
        le=315_360_000,
    )
    max_body_bytes: int = _setting(
        1_048_576,
        "bytes",
        "The largest webhook body accepted; bounds the size of every record, so all members and "
        "topics must agree on it.",
        ge=1024,
        le=16_777_216,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "level", "The least level logged.")
    log_format: Literal["json", "console"] = _setting("json", "format", "JSON lines for machines, or text for people.")

    @property
    def topic_retention(self) -> timedelta:
        """Give the retention as a duration."""
        return timedelta(seconds=self.topic_retention_seconds)


class IngressSettings(PipelineSettings):
    """What the ingress needs."""

    ingress_host: str = _setting("0.0.0.0", "address", "Address to listen on.")  # noqa: S104 - made for containers
    ingress_port: int = _setting(8080, "port", "Port to listen on; 0 takes a free one and logs it.", ge=0, le=65_535)
    ingress_max_depth: int = _setting(
        900, "levels", "How deep arrays and objects of a body may nest before it is refused with 400.", ge=1, le=900
    )
    ingress_max_concurrent: int = _setting(
        2_000, "requests", "Requests handled at once; beyond it the answer is 503 with Retry-After.", ge=1
    )
    ingress_body_timeout_seconds: float = _setting(
        15.0, "seconds", "How long a sender may take to send its body before it is answered 408.", gt=0
    )
    ingress_acknowledge_seconds: float = _setting(
        10.0, "seconds", "How long Kafka may take to acknowledge a webhook before the sender is answered 503.", ge=1
    )
    ingress_queue_messages: int = _setting(
        20_000, "records", "Unacknowledged records held; beyond it the answer is 503.", ge=1, le=10_000_000
    )
    ingress_queue_bytes: int = _setting(
        134_217_728, "bytes", "Bytes of unacknowledged records held; beyond it the answer is 503.", ge=1_048_576
    )
    ingress_retry_after_seconds: int = _setting(5, "seconds", "What Retry-After says in an answer 503.", ge=1)
    ingress_stop_seconds: float = _setting(
        30.0, "seconds", "How long a stop waits for accepted requests to be answered and published.", gt=0
    )


class ConsumerSettings(PipelineSettings):
    """What a consumer member needs."""

    group: TopicName = _setting("sync", "name", "The group this member belongs to; part of its topics' names.")
    fuse_sandbox_url: BaseUrl = _setting(
        "https://sandbox-api.letsfuse.com", "URL", "Fuse's base URL for events of the sandbox environment."
    )
    fuse_production_url: BaseUrl = _setting(
        "https://api.letsfuse.com", "URL", "Fuse's base URL for events of the production environment."
    )
    call_connect_timeout_seconds: float = _setting(
        5.0,
        "seconds",
        "How long connecting to Fuse may take; never longer than 0.4 of the session timeout, so that no request is "
        "sent when somebody else may own its partition.",
        gt=0,
    )
    call_timeout_seconds: float = _setting(
        30.0, "seconds", "How long one call to Fuse may take in all, connecting included.", gt=0
    )
    max_in_flight: int = _setting(
        1_000,
        "calls",
        "Calls in flight at once in this member, those for parked events a quarter of them at most.",
        ge=1,
        le=50_000,
    )
    max_held_events: int = _setting(
        20_000, "events", "Events held in memory by this member; beyond its share a partition is paused.", ge=100
    )
    max_held_bytes: int = _setting(
        67_108_864,
        "bytes",
        "Bytes of events held in memory by this member; beyond its share a partition is paused.",
        ge=1_048_576,
    )
    retry_initial_seconds: float = _setting(
        0.5, "seconds", "Wait before the second attempt; doubles with every further one, jitter added on top.", gt=0
    )
    retry_max_seconds: float = _setting(
        60.0, "seconds", "The longest wait between attempts in the lane, before jitter.", gt=0
    )
    retry_attempts: int = _setting(
        5, "attempts", "Attempts of an event in its lane; then it is parked, and its lane behind it.", ge=1
    )
    retry_seconds: float = _setting(
        30.0, "seconds", "How long an event is tried in its lane; what would come later is parked.", ge=0
    )
    failures: Steps = _setting(
        {},
        "JSON object",
        "What comes next after an answer with a code or status, above the table in docs/failures.md: `retry`, `down`, "
        '`misconfigured`, `ignored` or `dead`. Example: `{"aggregator_disconnected_error": "dead"}`.',
    )
    tenant_probe_seconds: float = _setting(
        15.0,
        "seconds",
        "How often one event of a tenant whose configuration is wrong is tried, while all others of it are parked.",
        gt=0,
    )
    parked_initial_seconds: float = _setting(
        15.0, "seconds", "Wait of a parked event before its next attempt; doubles with every further one.", gt=0
    )
    parked_max_seconds: float = _setting(
        1_800.0, "seconds", "The longest wait of a parked event between attempts, before jitter.", gt=0
    )
    parked_attempts: int = _setting(
        50, "attempts", "Attempts of a parked event; then it goes to the dead-letter topic, and its lane goes on.", ge=1
    )
    parked_seconds: float = _setting(
        86_400.0,
        "seconds",
        "How long after its first call a parked event is tried; what fails later goes to the dead-letter topic.",
        gt=0,
    )
    lane_max_waiting: int = _setting(
        100, "events", "Events of one connection that wait in memory; beyond it they are parked.", ge=1
    )
    tenant_max_held_share: float = _setting(
        0.8,
        "share of 1",
        "What one tenant may hold of a partition's share of `FUSE_SYNC_MAX_HELD_EVENTS`; beyond it its events are "
        "parked, so that reading reaches those of others. 1 parks nothing for that reason, as with a single tenant.",
        gt=0,
        le=1,
    )
    supersede: bool = _setting(
        True,  # noqa: FBT003 - a setting's default
        "true or false",
        "Whether an event that would be synced is settled as superseded, without a call, when one with an equal body "
        "waits behind it.",
    )
    scratch_max_bytes: int = _setting(
        4_294_967_296,
        "bytes",
        "Parked events kept on local disk by this member, a copy of the log; beyond its share a partition is paused.",
        ge=1_048_576,
    )
    parked_log_span: int = _setting(
        100_000,
        "records",
        "How long a partition's parked log may grow, beside twice what it holds, before its oldest events are parked "
        "again at its end, so that what is before them can be deleted.",
        ge=100,
    )
    commit_interval_seconds: float = _setting(1.0, "seconds", "How often the frontier is committed.", ge=0.05, le=60)
    session_timeout_seconds: float = _setting(
        10.0,
        "seconds",
        "After so long without a heartbeat Kafka gives a member's partitions to others; calls start and connect within "
        "it. With the protocol `consumer` the cluster decides when they are given away, and this has to be shorter by "
        "two heartbeats at least; the start-up check sees to that.",
        ge=1,
    )
    drain_seconds: float = _setting(
        20.0, "seconds", "How long letting go of a partition, or a stop, waits for calls in flight.", gt=0, le=240
    )
    max_frontier_distance: int = _setting(
        100_000,
        "offsets",
        "How far reading may run ahead of a partition's oldest unsettled event before the partition is paused.",
        ge=1_000,
    )
    max_unacknowledged_outcomes: int = _setting(
        50_000, "records", "Outcomes not yet acknowledged by Kafka that this member may hold.", ge=1_000
    )
    group_protocol: Literal["classic", "consumer"] = _setting(
        "classic",
        "protocol",
        "How members share partitions: `classic`, or `consumer` (KIP-848, Kafka 4.0 or newer), which does not stop "
        "the group while one of its members is missing, and in which the session timeout is the cluster's.",
    )
    group_instance_id: str = _setting(
        "",
        "name",
        "A name that this member keeps over restarts and no other has (static membership): after a stop, one that is "
        "back within the session timeout gets its partitions again, and until then nobody has them. Empty: none.",
        max_length=249,
    )
    member_host: str = _setting(
        "127.0.0.1",
        "address",
        "Address of the member's own page: its health, what it holds, and what each connection waits for. It has no "
        "password: let only your own network reach it.",
        min_length=1,
    )
    member_port: int = _setting(
        0,
        "port",
        "Port of that page; 0 takes a free one, which `why` finds through Kafka, and -1 serves no page.",
        ge=-1,
        le=65_535,
    )


_ALL: tuple[type[PipelineSettings], ...] = (PipelineSettings, IngressSettings, ConsumerSettings)
_SECTIONS = {
    PipelineSettings: "Ingress and consumer",
    IngressSettings: "Ingress",
    ConsumerSettings: "Consumer",
}
SettingsT = TypeVar("SettingsT", bound=PipelineSettings)


def load(kind: type[SettingsT], **overrides: object) -> SettingsT:
    """Read the settings from the environment and `.env`; `overrides` win, as command-line options do.

    Raises ConfigurationError with one sentence for every fault, variables that nothing reads included.
    """
    faults = list(_unknown_variables())
    try:
        settings = kind(**overrides)  # type: ignore[arg-type] # validated by pydantic
    except ValidationError as error:
        faults.extend(_sentences(error))
        raise ConfigurationError(faults) from None
    if faults:
        raise ConfigurationError(faults)
    return settings


def variable(name: str) -> str:
    """Name the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def reference_page() -> str:
    """Render the reference page of all settings, in Markdown."""
    sections = [_section(title, _own_fields(kind)) for kind, title in _SECTIONS.items()]
    return "\n".join([_PREAMBLE, *sections])


_PREAMBLE = f"""# Settings

Environment variables with the prefix `{PREFIX}`, or lines of a `.env` file in the working directory; the environment
wins. Bad settings are reported all together and stop the start. A variable with the prefix that nothing reads is a
fault too. This page is generated: `make docs`.
"""


def _known_variables() -> set[str]:
    return {variable(name) for kind in _ALL for name in kind.model_fields}


def _unknown_variables() -> Iterator[str]:
    known = _known_variables()
    given = {*ENVIRON, *(dotenv_values(DOTENV) if DOTENV.is_file() else ())}
    for name in sorted(name for name in given if name.startswith(PREFIX) and name not in known):
        # Without the prefix, which would make any two names look alike.
        near = difflib.get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], n=1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "remove it, or see docs/settings.md for what there is."
        yield f"{name}: no such setting; {hint}"


def _sentences(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        name = variable(str(fault["loc"][0]))
        if fault["type"] == "missing":
            yield f"{name}: is required and not set."
        else:
            yield f"{name}: {fault['msg'].removeprefix('Value error, ')}."


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

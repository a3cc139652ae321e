"""Every setting: environment variables with the prefix FUSE_SYNC_, or a `.env` file in the working directory.

The only module that reads the environment. `schemas.settings_page` makes the reference page of the declarations below.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import ConfigurationError
from schemas.setting_types import BaseUrl, ClientSettings, RelayUrl, SigningSecret, Steps, TopicName, setting

PREFIX = "FUSE_SYNC_"
ENVIRON: Mapping[str, str] = os.environ
"""The process's environment, for what refers to its variables by name: secrets of the tenants file."""
DOTENV = Path(".env")


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

    kafka_bootstrap_servers: str = setting(
        ...,
        "host:port, comma-separated",
        "Brokers to begin with; the rest of the cluster is found from them.",
        min_length=1,
    )
    kafka_client: ClientSettings = setting(
        {},
        "JSON object",
        "librdkafka settings for every client, above our own: TLS, SASL, buffers. Example: "
        '`{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", '
        '"sasl.password": "p"}`.',
    )
    tenants_file: Path = setting(
        ..., "path", "The TOML file of tenants; check it with `python -m schemas check-tenants FILE`."
    )
    tenants_poll_seconds: float = setting(
        2.0,
        "seconds",
        "How often the tenants file is looked at, to be read again when it has changed; 0: only on SIGHUP.",
        ge=0,
    )
    topic: TopicName = setting("fuse.webhooks", "topic name", "The topic of verified webhooks.")
    topic_partitions: int = setting(
        12,
        "partitions",
        "Partitions of the topics that the start-up check creates. More than the topic has: extended "
        "only while it is empty, since more partitions move keys.",
        ge=1,
        le=10_000,
    )
    topic_replication_factor: int | None = setting(
        None,
        "replicas",
        "Replicas of the topics that the start-up check creates; empty: 3, or as many as there are brokers if fewer.",
        ge=1,
    )
    topic_retention_seconds: float = setting(
        604_800.0,
        "seconds",
        "How long the topic keeps webhooks, and so how far back replay reaches.",
        ge=60,
        le=315_360_000,
    )
    max_body_bytes: int = setting(
        1_048_576,
        "bytes",
        "The largest webhook body accepted; bounds the size of every record, so all members and "
        "topics must agree on it.",
        ge=1024,
        le=16_777_216,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "level", "The least level logged.")
    log_format: Literal["json", "console"] = setting("json", "format", "JSON lines for machines, or text for people.")

    @property
    def topic_retention(self) -> timedelta:
        """Give the retention as a duration."""
        return timedelta(seconds=self.topic_retention_seconds)


class IngressSettings(PipelineSettings):
    """What the ingress needs."""

    ingress_host: str = setting("0.0.0.0", "address", "Address to listen on.")  # noqa: S104 - made for containers
    ingress_port: int = setting(8080, "port", "Port to listen on; 0 takes a free one and logs it.", ge=0, le=65_535)
    ingress_reuse_port: bool = setting(
        False,  # noqa: FBT003 - a setting's default
        "true or false",
        "Whether other ingress processes of this machine and user may listen on the same port (SO_REUSEPORT), all of "
        "them with this setting: one process per core. Connections are then spread over them by the kernel.",
    )
    ingress_max_depth: int = setting(
        900, "levels", "How deep arrays and objects of a body may nest before it is refused with 400.", ge=1, le=900
    )
    ingress_max_concurrent: int = setting(
        2_000, "requests", "Requests handled at once; beyond it the answer is 503 with Retry-After.", ge=1
    )
    ingress_body_timeout_seconds: float = setting(
        15.0, "seconds", "How long a sender may take to send its body before it is answered 408.", gt=0
    )
    ingress_acknowledge_seconds: float = setting(
        10.0, "seconds", "How long Kafka may take to acknowledge a webhook before the sender is answered 503.", ge=1
    )
    ingress_queue_messages: int = setting(
        20_000, "records", "Unacknowledged records held; beyond it the answer is 503.", ge=1, le=10_000_000
    )
    ingress_queue_bytes: int = setting(
        134_217_728, "bytes", "Bytes of unacknowledged records held; beyond it the answer is 503.", ge=1_048_576
    )
    ingress_retry_after_seconds: int = setting(5, "seconds", "What Retry-After says in an answer 503.", ge=1)
    ingress_stop_seconds: float = setting(
        30.0, "seconds", "How long a stop waits for accepted requests to be answered and published.", gt=0
    )


class ConsumerSettings(PipelineSettings):
    """What a consumer member needs."""

    group: TopicName = setting("sync", "name", "The group this member belongs to; part of its topics' names.")
    fuse_sandbox_url: BaseUrl = setting(
        "https://sandbox-api.letsfuse.com", "URL", "Fuse's base URL for events of the sandbox environment."
    )
    fuse_production_url: BaseUrl = setting(
        "https://api.letsfuse.com", "URL", "Fuse's base URL for events of the production environment."
    )
    handler: str = setting(
        "sync",
        "name",
        "What the group does with events: `sync`, `relay`, or a handler of yours, `package.module:name`.",
    )
    relay_url: RelayUrl = setting(
        None, "URL", "Where `relay` sends the events of tenants whose entry in the tenants file has no table `relay`."
    )
    relay_secret: SigningSecret = setting(
        None, "secret", "Signs what goes to `FUSE_SYNC_RELAY_URL`: 24 to 64 bytes in base64, also after `whsec_`."
    )
    relay_allow_private: bool = setting(
        False,  # noqa: FBT003 - a setting's default
        "true or false",
        "Whether `relay` may connect to addresses that are not public, such as those of this host or network.",
    )
    call_connect_timeout_seconds: float = setting(
        5.0,
        "seconds",
        "How long connecting to Fuse may take; never longer than 0.4 of the session timeout, so that no request is "
        "sent when somebody else may own its partition.",
        gt=0,
    )
    call_timeout_seconds: float = setting(
        30.0, "seconds", "How long one call to Fuse may take in all, connecting included.", gt=0
    )
    max_in_flight: int = setting(
        1_000,
        "calls",
        "Calls in flight at once in this member, those for parked events a quarter of them at most.",
        ge=1,
        le=50_000,
    )
    max_held_events: int = setting(
        20_000, "events", "Events held in memory by this member; beyond its share a partition is paused.", ge=100
    )
    max_held_bytes: int = setting(
        67_108_864,
        "bytes",
        "Bytes of events held in memory by this member; beyond its share a partition is paused.",
        ge=1_048_576,
    )
    retry_initial_seconds: float = setting(
        0.5, "seconds", "Wait before the second attempt; doubles with every further one, jitter added on top.", gt=0
    )
    retry_max_seconds: float = setting(
        60.0, "seconds", "The longest wait between attempts in the lane, before jitter.", gt=0
    )
    retry_attempts: int = setting(
        5, "attempts", "Attempts of an event in its lane; then it is parked, and its lane behind it.", ge=1
    )
    retry_seconds: float = setting(
        30.0, "seconds", "How long an event is tried in its lane; what would come later is parked.", ge=0
    )
    failures: Steps = setting(
        {},
        "JSON object",
        "What comes next after an answer with a code or status, above the table in docs/failures.md: `retry`, `down`, "
        '`misconfigured`, `ignored` or `dead`. Example: `{"aggregator_disconnected_error": "dead"}`.',
    )
    tenant_probe_seconds: float = setting(
        15.0,
        "seconds",
        "How often one event of a tenant whose configuration is wrong is tried, while all others of it are parked.",
        gt=0,
    )
    parked_initial_seconds: float = setting(
        15.0, "seconds", "Wait of a parked event before its next attempt; doubles with every further one.", gt=0
    )
    parked_max_seconds: float = setting(
        1_800.0, "seconds", "The longest wait of a parked event between attempts, before jitter.", gt=0
    )
    parked_attempts: int = setting(
        50, "attempts", "Attempts of a parked event; then it goes to the dead-letter topic, and its lane goes on.", ge=1
    )
    parked_seconds: float = setting(
        86_400.0,
        "seconds",
        "How long after its first call a parked event is tried; what fails later goes to the dead-letter topic.",
        gt=0,
    )
    lane_max_waiting: int = setting(
        100, "events", "Events of one connection that wait in memory; beyond it they are parked.", ge=1
    )
    tenant_max_held_share: float = setting(
        0.8,
        "share of 1",
        "What one tenant may hold of a partition's share of `FUSE_SYNC_MAX_HELD_EVENTS`; beyond it its events are "
        "parked, so that reading reaches those of others. 1 parks nothing for that reason, as with a single tenant.",
        gt=0,
        le=1,
    )
    supersede: bool = setting(
        True,  # noqa: FBT003 - a setting's default
        "true or false",
        "Whether an event that would be synced is settled as superseded, without a call, when one with an equal body "
        "waits behind it.",
    )
    scratch_max_bytes: int = setting(
        4_294_967_296,
        "bytes",
        "Parked events kept on local disk by this member, a copy of the log; beyond its share a partition is paused.",
        ge=1_048_576,
    )
    parked_log_span: int = setting(
        100_000,
        "records",
        "How long a partition's parked log may grow, beside twice what it holds, before its oldest events are parked "
        "again at its end, so that what is before them can be deleted.",
        ge=100,
    )
    hold_failure_share: float = setting(
        0.5,
        "share of 1",
        "Calls to a base URL are held when at least this share of those that ended within the window, and at least "
        "`FUSE_SYNC_HOLD_MIN_FAILURES`, found it down: no connection, no answer in time, or a failure of its own.",
        gt=0,
        le=1,
    )
    hold_min_failures: int = setting(
        20, "calls", "Fewer failures within the window never hold the calls to a base URL.", ge=1
    )
    hold_window_seconds: float = setting(10.0, "seconds", "How far back failures count for a hold.", ge=0.1)
    hold_probe_seconds: float = setting(
        5.0, "seconds", "While calls are held one starts so often, to see whether the base URL works again.", ge=0.1
    )
    hold_ramp_per_second: int = setting(
        20,
        "calls per second",
        "Calls that start in the first second after a hold; as many more in each further one.",
        ge=1,
    )
    hold_ramp_seconds: float = setting(30.0, "seconds", "How long after a hold the calls per second are limited.", ge=0)
    commit_interval_seconds: float = setting(1.0, "seconds", "How often the frontier is committed.", ge=0.05, le=60)
    session_timeout_seconds: float = setting(
        10.0,
        "seconds",
        "After so long without a heartbeat Kafka gives a member's partitions to others; calls start and connect within "
        "it. With the protocol `consumer` the cluster decides when they are given away, and this has to be shorter by "
        "two heartbeats at least; the start-up check sees to that.",
        ge=1,
    )
    drain_seconds: float = setting(
        20.0, "seconds", "How long letting go of a partition, or a stop, waits for calls in flight.", gt=0, le=240
    )
    max_frontier_distance: int = setting(
        100_000,
        "offsets",
        "How far reading may run ahead of a partition's oldest unsettled event before the partition is paused.",
        ge=1_000,
    )
    max_unacknowledged_outcomes: int = setting(
        50_000, "records", "Outcomes not yet acknowledged by Kafka that this member may hold.", ge=1_000
    )
    group_protocol: Literal["classic", "consumer"] = setting(
        "classic",
        "protocol",
        "How members share partitions: `classic`, or `consumer` (KIP-848, Kafka 4.0 or newer), which does not stop "
        "the group while one of its members is missing, and in which the session timeout is the cluster's.",
    )
    group_instance_id: str = setting(
        "",
        "name",
        "A name that this member keeps over restarts and no other has (static membership): after a stop, one that is "
        "back within the session timeout gets its partitions again, and until then nobody has them. Empty: none.",
        max_length=249,
    )
    member_host: str = setting(
        "127.0.0.1",
        "address",
        "Address of the member's own page: its health, what it holds, and what each connection waits for. It has no "
        "password: let only your own network reach it.",
        min_length=1,
    )
    member_port: int = setting(
        0,
        "port",
        "Port of that page; 0 takes a free one, which `why` finds through Kafka, and -1 serves no page.",
        ge=-1,
        le=65_535,
    )


ALL: tuple[type[PipelineSettings], ...] = (PipelineSettings, IngressSettings, ConsumerSettings)
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


def _known_variables() -> set[str]:
    return {variable(name) for kind in ALL for name in kind.model_fields}


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

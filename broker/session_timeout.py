"""The start-up check of the session timeout: the lease of calls may not outlast what the group's coordinator uses.

With the classic protocol a member names its session timeout, and Kafka takes it or not. With the consumer protocol it
is the cluster's: the group's own, where an administrator set one, else that of the broker which coordinates the group.
"""

import asyncio
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, ResourceType
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker.answers import AGAIN, answers, config_values
from broker.client import admin, kafka_error
from schemas.errors import ConfigurationError, FuseSyncError, Retryable
from schemas.settings import ConsumerSettings, variable
from schemas.telemetry import LogEvent
from schemas.topics import consumer_group_id

HEARTBEATS_SPARED = 2
"""By so many heartbeats the session has to be longer than ours. With the consumer protocol a commit proves that the
member is in the group, but unlike with the classic one it does not restart the session: the last heartbeat may be an
interval older than the commit, and late."""

_SESSION, _HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
_BROKERS_OWN = {name: f"group.{name}" for name in (_SESSION, _HEARTBEAT)}
_BROKERS_MOST = "group.consumer.max.session.timeout.ms"
_CLASSIC_LEAST, _CLASSIC_MOST = "group.min.session.timeout.ms", "group.max.session.timeout.ms"

_LEAST_SETTING = 1.0
_REQUEST_SECONDS = 10.0
_CHECK_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
_SETTING = variable("session_timeout_seconds")


class _NotLearned(FuseSyncError):
    """The cluster does not tell what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """A group's configuration as a broker gives it; `own` names what was set for this group."""

    values: Mapping[str, str]
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the coordinator of a group uses, in seconds: at least this timeout, at most this time between heartbeats."""

    timeout: float
    heartbeat: float

    @property
    def most(self) -> float:
        """Give the longest session timeout that a member of ours may reckon with."""
        return self.timeout - HEARTBEATS_SPARED * self.heartbeat


async def check_session_timeout(settings: ConsumerSettings, *, within: float = _CHECK_SECONDS) -> None:
    """Check that the session timeout of the settings is one that the group's coordinator keeps.

    What the cluster does not let us see is logged and not judged. Raises ConfigurationError with the command that
    mends it, and Retryable if the cluster does not answer within about `within` seconds.
    """
    patiently = AsyncRetrying(
        retry=retry_if_exception_type(Retryable),
        stop=stop_after_delay(within),
        wait=wait_fixed(_PAUSE_SECONDS),
        reraise=True,
    )
    try:
        fault: str | None = await patiently(_fault, settings)
    except _NotLearned as error:
        structlog.get_logger().warning(LogEvent.SESSION_UNCHECKED, error=str(error))
        return
    if fault:
        raise ConfigurationError([fault])


async def _fault(settings: ConsumerSettings) -> str | None:
    client = admin(settings, {})
    brokers = await _brokers(client)
    if settings.group_protocol == "classic":
        return classic_fault(settings, brokers)
    return consumer_fault(settings, coordinators_session(await _group(client, settings), brokers))


def classic_fault(settings: ConsumerSettings, brokers: Sequence[Mapping[str, str]]) -> str | None:
    """Say what is wrong with a session timeout that brokers of these configurations refuse. Pure."""
    least = max((_seconds(broker, _CLASSIC_LEAST, 0.0) for broker in brokers), default=0.0)
    most = min((_seconds(broker, _CLASSIC_MOST, math.inf) for broker in brokers), default=math.inf)
    if least <= settings.session_timeout_seconds <= most:
        return None
    return (
        f"{_SETTING}: is {settings.session_timeout_seconds:g}, but the cluster takes {least:g} to {most:g} "
        f"({_CLASSIC_LEAST} and {_CLASSIC_MOST} of its brokers); set it to something between."
    )


def coordinators_session(group: GroupConfig, brokers: Sequence[Mapping[str, str]]) -> Session:
    """Work out what the coordinator uses, whichever of the brokers that is, now or later. Pure.

    Brokers keep what was set for a group within their own bounds (Kafka's `GroupConfig.evaluate`).
    """
    ceiling = _BROKERS_MOST if _SESSION in group.own else _BROKERS_OWN[_SESSION]
    timeouts = [_seconds(broker, ceiling, math.inf) for broker in brokers]
    beats = [] if _HEARTBEAT in group.own else [_seconds(broker, _BROKERS_OWN[_HEARTBEAT], 0.0) for broker in brokers]
    return Session(
        timeout=min(_seconds(group.values, _SESSION, math.inf), *timeouts, math.inf),
        heartbeat=max(_seconds(group.values, _HEARTBEAT, 0.0), *beats, 0.0),
    )


def _seconds(config: Mapping[str, str], name: str, default: float) -> float:
    return int(config[name]) / 1000 if name in config else default


def consumer_fault(settings: ConsumerSettings, session: Session) -> str | None:
    """Say what is wrong with a session timeout that is longer than the group's. Pure."""
    ours = settings.session_timeout_seconds
    if ours <= session.most:
        return None
    needed = math.ceil((ours + HEARTBEATS_SPARED * session.heartbeat) * 1000)
    command = _configs_command(settings, "--alter", "--add-config", f"{_SESSION}={needed}")
    # A group whose heartbeats are too rare for its session can only be mended itself.
    ours_mended = f"set it to at most {session.most:g}, or " if session.most >= _LEAST_SETTING else ""
    return (
        f"{_SETTING}: is {ours:g}, but after {session.timeout:g} s without a heartbeat, of which there is one every "
        f"{session.heartbeat:g} s, Kafka gives away what a member of group {_group_id(settings)} holds; "
        f"{ours_mended}let an administrator run: {command}"
    )


async def _brokers(client: AdminClient) -> Sequence[Mapping[str, str]]:
    """Give the configurations of the brokers, as far as the cluster lets us see them."""
    try:
        cluster = await asyncio.wrap_future(client.describe_cluster(request_timeout=_REQUEST_SECONDS))
    except KafkaException as error:
        raise Retryable(f"no broker answers: {kafka_error(error).str()}") from None
    resources = [ConfigResource(ResourceType.BROKER, str(node.id)) for node in cluster.nodes]
    try:
        return [(await _described(client, resource)).values for resource in resources]
    except _NotLearned:
        return []


async def _group(client: AdminClient, settings: ConsumerSettings) -> GroupConfig:
    """Give the group's configuration. Raises _NotLearned with the command that lets us see it."""
    group = _group_id(settings)
    try:
        config = await _described(client, ConfigResource(ResourceType.GROUP, group))
    except _NotLearned as error:
        raise _NotLearned(
            f"the session timeout of group {group} could not be learned: {error}; make sure that it is longer than "
            f"{_SETTING} by {HEARTBEATS_SPARED} heartbeats, or let an administrator run, with the user of this process "
            f"for NAME: {_allow_command(settings)}"
        ) from None
    if _SESSION not in config.values or _HEARTBEAT not in config.values:
        raise _NotLearned(f"the cluster does not tell the session timeout of group {group}; is it older than 4.0?")
    return config


async def _described(client: AdminClient, resource: ConfigResource) -> GroupConfig:
    configs, errors = await answers(client.describe_configs([resource], request_timeout=_REQUEST_SECONDS))
    for error in errors.values():
        raise Retryable(error.str()) if error.code() in AGAIN else _NotLearned(error.str())
    (entries,) = configs.values()
    own = [name for name, entry in entries.items() if entry.source == ConfigSource.GROUP_CONFIG.value]
    return GroupConfig(values=config_values(entries), own=frozenset(own))


def _group_id(settings: ConsumerSettings) -> str:
    return consumer_group_id(settings.topic, settings.group)


def _configs_command(settings: ConsumerSettings, *action: str) -> str:
    where = ["--bootstrap-server", settings.kafka_bootstrap_servers, "--entity-type", "groups"]
    return shlex.join(["kafka-configs.sh", *where, "--entity-name", _group_id(settings), *action])


def _allow_command(settings: ConsumerSettings) -> str:
    allow = ["--add", "--allow-principal", "User:NAME", "--operation", "DescribeConfigs"]
    where = ["--bootstrap-server", settings.kafka_bootstrap_servers]
    return shlex.join(["kafka-acls.sh", *where, *allow, "--group", _group_id(settings)])

"""Membership in a group: what librdkafka is told of it, by protocol, and which of its errors end it. Pure."""

from collections.abc import Mapping

from confluent_kafka import KafkaError

from schemas.errors import MembershipRefused
from schemas.settings import ConsumerSettings, variable
from schemas.topics import consumer_group_id

_HEARTBEATS_PER_SESSION = 5
_CLIENT = "fuse-sync"
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to recognise it, not to listen there


def group_config(settings: ConsumerSettings) -> Mapping[str, object]:
    """Configure a member of the group of these settings."""
    config: dict[str, object] = {
        "group.id": consumer_group_id(settings.topic, settings.group),
        "group.protocol": settings.group_protocol,
    }
    if settings.group_instance_id:
        config["group.instance.id"] = settings.group_instance_id
    # With the other protocol these are the broker's, and librdkafka refuses to be told.
    return config if settings.group_protocol == "consumer" else {**config, **_classic(settings)}


def client_id(address: str | None) -> str:
    """Name the client of a member whose page is at `address`, `host:port`: Kafka shows it beside what it owns."""
    return _CLIENT if address is None else f"{_CLIENT}@{address}"


def page_address(client: str, host: str) -> str | None:
    """Find where a member's page is, from its client's name and the host that Kafka sees it on; None if not told.

    A page that listens on all addresses is looked for on that host.
    """
    name, _, address = client.partition("@")
    if name != _CLIENT or not address:
        return None
    listens, _, port = address.rpartition(":")
    return f"{host.removeprefix('/') if listens in _ANYWHERE else listens}:{port}"


def _classic(settings: ConsumerSettings) -> Mapping[str, object]:
    session_milliseconds = int(settings.session_timeout_seconds * 1000)
    return {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_milliseconds,
        "heartbeat.interval.ms": session_milliseconds // _HEARTBEATS_PER_SESSION,
    }


def refusal_of(error: KafkaError, settings: ConsumerSettings) -> MembershipRefused | None:
    """Say why this process is no member and cannot become one by waiting; None for what passes.

    A fatal error leaves a consumer of librdkafka standing: it answers, but is in no group any more.
    """
    if error.code() == KafkaError.INVALID_SESSION_TIMEOUT:
        return MembershipRefused(_SESSION_REFUSED)
    if error.code() != KafkaError._FATAL and not error.fatal():  # noqa: SLF001 - public name of a local error
        return None
    # A fatal error has one code for all; only its text tells what it was.
    causes = [says for code, says in _NAME_TAKEN.items() if KafkaError(code).str() in error.str()]
    if not causes:
        return MembershipRefused(error.str())
    return MembershipRefused(f"{variable('group_instance_id')}: {settings.group_instance_id} {causes[0]}")


_SESSION_REFUSED = (
    f"{variable('session_timeout_seconds')}: Kafka refuses this session timeout; set it to something between "
    "group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers."
)
_NAME_TAKEN = {
    KafkaError.FENCED_INSTANCE_ID: (
        "is the name of another process now, which has joined the group with it and got this one's partitions; give "
        "every member a name of its own."
    ),
    KafkaError.UNRELEASED_INSTANCE_ID: (
        "is the name of a member that the group still has: another process that runs, or one that died and whose "
        "session goes on; give every member a name of its own, and start this one again when that session has ended."
    ),
}
"""With the classic protocol the later process gets the name, with the consumer protocol the earlier one keeps it."""

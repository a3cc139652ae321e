"""The start-up check of the session timeout: no lease outlasts what the coordinator of the group uses."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from structlog.testing import capture_logs

from broker.embedded import EmbeddedKafka
from broker.session_timeout import GroupConfig, Session, check_session_timeout, consumer_fault, coordinators_session
from schemas.errors import ConfigurationError
from schemas.telemetry import LogEvent
from schemas.topics import consumer_group_id
from tests.broker.test_subscription import GROUP, settings
from tests.conftest import Cluster

WITHIN = 20.0
SERVERS = "127.0.0.1:1"
SESSION, HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
BROKER = {"group.consumer.session.timeout.ms": "45000", "group.consumer.heartbeat.interval.ms": "5000"}


def group(own: Mapping[str, int] | None = None) -> GroupConfig:
    """Give a group's configuration: what is its own, and Kafka's defaults."""
    values = {SESSION: 45_000, HEARTBEAT: 5_000, **(own or {})}
    return GroupConfig(values={name: str(value) for name, value in values.items()}, own=frozenset(own or ()))


@pytest.mark.parametrize(
    ("own", "brokers", "timeout", "heartbeat"),
    [
        ({}, [], 45, 5),
        ({}, [BROKER], 45, 5),
        ({}, [BROKER, {**BROKER, "group.consumer.session.timeout.ms": "30000"}], 30, 5),
        ({}, [BROKER, {**BROKER, "group.consumer.heartbeat.interval.ms": "9000"}], 45, 9),
        ({SESSION: 10_000, HEARTBEAT: 500}, [BROKER], 10, 0.5),
        ({SESSION: 90_000}, [{**BROKER, "group.consumer.max.session.timeout.ms": "60000"}], 60, 5),
        ({SESSION: 60_000}, [{**BROKER, "group.consumer.session.timeout.ms": "30000"}], 60, 5),
    ],
)
def test_what_counts_is_the_worst_of_the_brokers_that_may_coordinate_the_group(
    own: Mapping[str, int], brokers: list[Mapping[str, str]], timeout: float, heartbeat: float
) -> None:
    """Any of them may be the coordinator tomorrow; what an administrator set for the group holds on all, in bounds."""
    assert coordinators_session(group(own), brokers) == Session(timeout=timeout, heartbeat=heartbeat)


def test_a_session_has_to_outlast_ours_by_two_heartbeats() -> None:
    """With the consumer protocol a commit restarts no session: the last heartbeat before it may be that old."""
    session = Session(timeout=45, heartbeat=5)
    fits = settings(SERVERS, "hooks", group_protocol="consumer", session_timeout_seconds=35)
    assert consumer_fault(fits, session) is None
    longer = settings(SERVERS, "hooks", group_protocol="consumer", session_timeout_seconds=35.5)
    fault = consumer_fault(longer, session)
    assert fault is not None
    assert fault.startswith("FUSE_SYNC_SESSION_TIMEOUT_SECONDS: is 35.5, but after 45 s without a heartbeat")
    assert "set it to at most 35, or let an administrator run: kafka-configs.sh" in fault
    assert fault.endswith(
        "--entity-type groups --entity-name hooks.sync --alter --add-config consumer.session.timeout.ms=45500"
    )


def test_nobody_is_told_to_set_a_timeout_that_no_setting_allows() -> None:
    """A short session with Kafka's usual heartbeats leaves no room for ours."""
    given = settings(SERVERS, "hooks", group_protocol="consumer", session_timeout_seconds=1)
    fault = consumer_fault(given, Session(timeout=6, heartbeat=5))
    assert fault is not None
    assert "holds; let an administrator run: kafka-configs.sh" in fault
    assert fault.endswith("consumer.session.timeout.ms=11000")


def set_for_group(servers: str, name: str, value: int) -> None:
    """Set the session timeout of a group, as its administrator does."""
    entry = ConfigEntry(SESSION, str(value), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.GROUP, name, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.incremental_alter_configs([resource]).values():
        future.result(WITHIN)


async def test_the_timeout_set_for_a_group_is_what_its_members_are_held_to(cluster: Cluster, topic_name: str) -> None:
    """Without one it is the brokers' own; both are learned from the cluster."""
    if not cluster.quick_groups:
        pytest.skip("this cluster allows no session timeout of a few seconds")
    given = settings(cluster.bootstrap_servers, topic_name, group_protocol="consumer", session_timeout_seconds=4)
    with capture_logs() as logs:
        await check_session_timeout(given)
        set_for_group(cluster.bootstrap_servers, consumer_group_id(topic_name, GROUP), 4_900)
        with pytest.raises(ConfigurationError, match=r"is 4, but after 4\.9 s .* every 0\.5 s, .* to at most 3\.9, or"):
            await check_session_timeout(given)
    assert logs == []


@pytest.mark.parametrize(("seconds", "outcome"), [(1.9, "refused"), (2, "taken"), (1800.5, "refused")])
async def test_with_the_classic_protocol_the_brokers_bounds_hold(
    cluster: Cluster, seconds: float, outcome: str
) -> None:
    """Kafka would refuse the member for ever, without a word in its configuration's language."""
    if not cluster.quick_groups:
        pytest.skip("this cluster has bounds of its own")
    refused = pytest.raises(
        ConfigurationError, match=r"SESSION_TIMEOUT_SECONDS: is .*, but the cluster takes 2 to 1800"
    )
    expected: Mapping[str, AbstractContextManager[object]] = {"refused": refused, "taken": nullcontext()}
    with expected[outcome]:
        await check_session_timeout(settings(cluster.bootstrap_servers, "hooks", session_timeout_seconds=seconds))


@pytest.fixture
def strict(embeddable: None) -> Iterator[EmbeddedKafka]:
    """Run a Kafka on which whoever has some rights in a resource has only those."""
    assert embeddable is None
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedKafka(properties=properties) as kafka:
        yield kafka


def allow(servers: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Let everybody do one thing, and so nothing else any more."""
    rule = (ResourcePatternType.LITERAL, "User:*", "*", operation, AclPermissionType.ALLOW)
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.create_acls([AclBinding(kind, name, *rule)]).values():
        future.result(WITHIN)


async def test_what_may_not_be_seen_is_said_and_stops_no_start(strict: EmbeddedKafka, topic_name: str) -> None:
    """The log has the command that lets the process see it; the right to see the brokers' own is not needed."""
    servers, group_id = strict.bootstrap_servers, consumer_group_id(topic_name, GROUP)
    given = settings(servers, topic_name, group_protocol="consumer", session_timeout_seconds=4.5)
    classic = settings(servers, topic_name, session_timeout_seconds=1)
    allow(servers, ResourceType.GROUP, group_id, AclOperation.READ)
    with capture_logs() as logs:
        await check_session_timeout(given)
    (line,) = logs
    assert (line["event"], line["log_level"]) == (LogEvent.SESSION_UNCHECKED, "warning")
    assert f"--operation DescribeConfigs --group {group_id}" in line["error"]
    assert "FUSE_SYNC_SESSION_TIMEOUT_SECONDS" in line["error"]

    allow(servers, ResourceType.GROUP, group_id, AclOperation.DESCRIBE_CONFIGS)
    allow(servers, ResourceType.BROKER, "kafka-cluster", AclOperation.ALTER)
    await check_session_timeout(classic)
    with pytest.raises(ConfigurationError, match=r"is 4\.5, but after 5 s without a heartbeat"):
        await check_session_timeout(given)

"""The start-up check of the topics: the decisions alone, and on a real Kafka."""

import asyncio
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from hypothesis import given
from hypothesis import strategies as st

from broker import topics
from broker.embedded import EmbeddedKafka
from broker.layout import Layout
from broker.topic_check import (
    DRAIN_COMMAND,
    CreateTopic,
    ExtendTopic,
    FoundTopic,
    Step,
    Wanted,
    default_replicas,
    faults,
    layout_of,
    next_steps,
    not_described,
    refusal,
)
from broker.topics import ensure_topics
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings, IngressSettings, PipelineSettings
from schemas.topics import group_specs, source_spec
from tests.conftest import Cluster

SOURCE = "hooks"
OUTCOMES = "hooks.sync.outcomes"
PARKED = "hooks.sync.parked"
DEAD = "hooks.sync.dead"
WEEK_MS = 7 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000


def wanted(*, partitions: int = 6, replicas: int = 3, group: bool = True) -> Wanted:
    """Describe the topics of a source and one group."""
    limits: dict[str, Any] = {"retention": timedelta(milliseconds=WEEK_MS), "max_body_bytes": 1024}
    others = group_specs(SOURCE, "sync", **limits) if group else ()
    return Wanted(
        specs=[source_spec(SOURCE, **limits), *others],
        partitions=partitions,
        replicas=replicas,
        bootstrap_servers="one:9092,two:9092",
    )


def made(step: Step, found: Mapping[str, FoundTopic]) -> FoundTopic:
    """Carry out a step as Kafka does."""
    if isinstance(step, CreateTopic):
        return FoundTopic(
            partitions=step.partitions, replicas=step.replicas, unwritten=True, config={**step.config, "other": "x"}
        )
    assert step.partitions > found[step.name].partitions, "Kafka refuses anything but more partitions"
    return replace(found[step.name], partitions=step.partitions)


def settled(need: Wanted, found: Mapping[str, FoundTopic]) -> dict[str, FoundTopic]:
    """Take steps until none is left."""
    state = dict(found)
    for _ in range(8):
        steps = next_steps(need, state, ())
        if not steps:
            return state
        state |= {step.name: made(step, state) for step in steps}
    raise AssertionError("the steps have no end")


def commands(found_faults: Sequence[str]) -> Iterator[list[str]]:
    """Take the command out of each fault."""
    for fault in found_faults:
        command = re.search(rf"(kafka-[a-z]+\.sh .*|{DRAIN_COMMAND})$", fault)
        assert command is not None, fault
        yield shlex.split(command[0])


def obeyed(state: dict[str, FoundTopic], command: list[str]) -> dict[str, FoundTopic]:
    """Do what an administrator does with a command, or a member that drains."""
    if command == shlex.split(DRAIN_COMMAND):
        return settled(replace(wanted(), drained_for=state[SOURCE].partitions), state)
    name = command[command.index("--topic" if "--topic" in command else "--entity-name") + 1]
    if "--delete" in command:
        return {other: topic for other, topic in state.items() if other != name}
    if "--add-config" in command:
        key, _, value = command[command.index("--add-config") + 1].partition("=")
        return state | {name: replace(state[name], config={**state[name].config, key: value})}
    count = int(command[command.index("--partitions") + 1])
    return state | {name: replace(state[name], partitions=max(count, state[name].partitions))}


CONFIGS = st.fixed_dictionaries(
    {
        "cleanup.policy": st.sampled_from(["delete", "compact", "compact,delete"]),
        "retention.ms": st.sampled_from([-1, 0, WEEK_MS, WEEK_MS + DAY_MS, 5 * WEEK_MS]).map(str),
        "retention.bytes": st.sampled_from(["-1", "1000"]),
        "message.timestamp.type": st.sampled_from(["LogAppendTime", "CreateTime"]),
        "max.message.bytes": st.sampled_from(["1000", "72704", "138240", "10000000"]),
        "unclean.leader.election.enable": st.sampled_from(["true", "false"]),
        "min.insync.replicas": st.sampled_from(["1", "2", "3", "4"]),
    }
)
TOPICS = st.builds(
    FoundTopic, partitions=st.integers(1, 9), replicas=st.integers(1, 4), unwritten=st.booleans(), config=CONFIGS
)
CLUSTERS = st.dictionaries(st.sampled_from([SOURCE, OUTCOMES, PARKED, DEAD]), TOPICS)


@given(found=CLUSTERS, partitions=st.integers(1, 9), replicas=st.integers(1, 3))
def test_what_the_check_creates_it_never_finds_fault_with(
    found: dict[str, FoundTopic], partitions: int, replicas: int
) -> None:
    """From any start the steps end, everything exists, and faults name only what was there before."""
    need = wanted(partitions=partitions, replicas=replicas)
    state = settled(need, found)
    assert set(state) == {spec.name for spec in need.specs}
    for fault in faults(need, state, {}):
        assert fault.removeprefix("topic ").partition(":")[0] in found, fault


@given(found=CLUSTERS, partitions=st.integers(1, 9))
def test_the_commands_of_the_faults_mend_them_all(found: dict[str, FoundTopic], partitions: int) -> None:
    """Who runs every command that is named, and starts again, gets topics that pass."""
    need = wanted(partitions=partitions)
    state = settled(need, found)
    for _ in range(6):
        for command in commands(faults(need, state, {})):
            state = obeyed(state, command)
        state = settled(need, state)
    assert faults(need, state, {}) == []


@given(found=CLUSTERS, partitions=st.integers(1, 9))
def test_topics_with_records_keep_their_partitions(found: dict[str, FoundTopic], partitions: int) -> None:
    """A source that ever held a record is not extended, and neither is then a group topic that did."""
    state = settled(wanted(partitions=partitions), found)
    if SOURCE in found and not found[SOURCE].unwritten:
        for name, topic in found.items():
            assert topic.unwritten or state[name].partitions == topic.partitions


@given(found=CLUSTERS, drained_for=st.integers(1, 9))
def test_written_group_topics_follow_the_source_only_to_where_keys_may_move(
    found: dict[str, FoundTopic], drained_for: int
) -> None:
    """The lanes of the old layout were drained for one count; if the source has another by now, they were not."""
    need = replace(wanted(), drains=True, drained_for=drained_for)
    state = settled(need, found)
    source = state[SOURCE]
    for name, topic in found.items():
        if name != SOURCE and not topic.unwritten and not source.unwritten and topic.partitions < source.partitions:
            assert (state[name].partitions == source.partitions) == (drained_for == source.partitions)
    if not source.unwritten and SOURCE in found:
        assert source.partitions == found[SOURCE].partitions


@given(found=CLUSTERS)
def test_who_drains_is_told_the_layout_instead_of_being_refused(found: dict[str, FoundTopic]) -> None:
    """Of the counts, only a group topic with more partitions than the source is still a fault."""
    need = replace(wanted(), drains=True)
    state = settled(need, found)
    counts = [topic.partitions for topic in state.values()]
    assert layout_of(need, state) == Layout(old=min(counts), new=state[SOURCE].partitions)
    refused = {fault.split(":")[0] for fault in faults(need, state, {}) if " partitions, but must have " in fault}
    assert refused == {f"topic {name}" for name, topic in state.items() if topic.partitions > state[SOURCE].partitions}


@given(found=CLUSTERS)
def test_the_source_comes_first_and_alone(found: dict[str, FoundTopic]) -> None:
    """While the source is missing or too small, nothing else is created: its count is not certain yet."""
    steps = next_steps(wanted(), found, ())
    assert all(step.name != SOURCE for step in steps) or len(steps) == 1


def test_group_topics_follow_the_partitions_that_the_source_really_has() -> None:
    """The setting counts for creation only; an existing source with records rules."""
    source = replace(settled(wanted(partitions=4), {})[SOURCE], unwritten=False)
    steps = next_steps(wanted(partitions=12), {SOURCE: source}, ())
    assert [(step.name, step.partitions) for step in steps] == [(OUTCOMES, 4), (PARKED, 4), (DEAD, 4)]


def test_group_topics_are_extended_with_a_source_that_is_empty() -> None:
    """No key can move where no webhook ever was, even if a member has already written marks."""
    state = settled(wanted(partitions=2), {})
    state[OUTCOMES] = replace(state[OUTCOMES], unwritten=False)
    grown = settled(wanted(partitions=3), state)
    assert {topic.partitions for topic in grown.values()} == {3}


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (4, "2")])
def test_three_replicas_ask_for_two_in_sync(replicas: int, in_sync: str) -> None:
    """With fewer than three, asking for two would stop publishing whenever one broker is away."""
    (step,) = next_steps(wanted(replicas=replicas), {}, ())
    assert isinstance(step, CreateTopic)
    assert step.config["min.insync.replicas"] == in_sync


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_three_replicas_are_the_default_where_there_are_brokers(brokers: int, replicas: int) -> None:
    """The default replication factor never exceeds the number of brokers."""
    assert default_replicas(brokers) == replicas


@pytest.mark.parametrize(
    ("source_keeps", "outcomes_keep"), [(-1, -1), (9 * DAY_MS, 10 * DAY_MS), (1, WEEK_MS + DAY_MS)]
)
def test_outcomes_are_created_to_outlive_what_the_source_really_keeps(source_keeps: int, outcomes_keep: int) -> None:
    """A source that keeps longer than its setting says gets outcomes that outlive it all the same."""
    source = settled(wanted(), {})[SOURCE]
    source = replace(source, config={**source.config, "retention.ms": str(source_keeps)})
    steps = {step.name: step for step in next_steps(wanted(), {SOURCE: source}, ())}
    outcomes = steps[OUTCOMES]
    assert isinstance(outcomes, CreateTopic)
    assert outcomes.config["retention.ms"] == str(outcomes_keep)


@pytest.mark.parametrize(
    ("name", "key", "value", "mended"),
    [
        (SOURCE, "cleanup.policy", "compact", "delete"),
        (DEAD, "message.timestamp.type", "CreateTime", "LogAppendTime"),
        (PARKED, "unclean.leader.election.enable", "true", "false"),
        (SOURCE, "max.message.bytes", "72703", "72704"),
        (OUTCOMES, "max.message.bytes", "138239", "138240"),
        (PARKED, "max.message.bytes", "138239", "138240"),
        (DEAD, "max.message.bytes", "72704", "138240"),
        (SOURCE, "min.insync.replicas", "1", "2"),
        (SOURCE, "min.insync.replicas", "4", "2"),
        (OUTCOMES, "retention.ms", str(WEEK_MS - 1), str(WEEK_MS + DAY_MS)),
        (OUTCOMES, "retention.bytes", "1000", "-1"),
        (PARKED, "retention.ms", str(99 * WEEK_MS), "-1"),
        (PARKED, "retention.bytes", "1000", "-1"),
    ],
)
def test_each_fault_of_a_configuration_is_one_sentence_with_its_command(
    name: str, key: str, value: str, mended: str
) -> None:
    """The fault names topic, setting and value; the command sets the value that works."""
    state = settled(wanted(), {})
    state[name] = replace(state[name], config={**state[name].config, key: value})
    (fault,) = faults(wanted(), state, {})
    assert fault.startswith(f"topic {name}: {key} is {value}, but ")
    assert fault.endswith(
        "; run: kafka-configs.sh --bootstrap-server one:9092,two:9092 --entity-type topics "
        f"--entity-name {name} --alter --add-config {key}={mended}"
    )


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        (SOURCE, "retention.ms", "60000"),
        (SOURCE, "retention.bytes", "1000000"),
        (DEAD, "retention.ms", "60000"),
        (DEAD, "retention.bytes", "1000000"),
        (OUTCOMES, "retention.ms", str(WEEK_MS)),
        (OUTCOMES, "retention.ms", "-1"),
        (PARKED, "max.message.bytes", "99999999"),
        (PARKED, "min.insync.replicas", "3"),
    ],
)
def test_what_works_is_the_operators_choice(name: str, key: str, value: str) -> None:
    """Only what cannot work is refused, not what differs from what would have been created."""
    state = settled(wanted(), {})
    state[name] = replace(state[name], config={**state[name].config, key: value})
    assert faults(wanted(), state, {}) == []


def test_what_the_cluster_does_not_tell_is_not_judged() -> None:
    """Some managed clusters hide part of a topic's configuration."""
    state = {name: replace(topic, config={}) for name, topic in settled(wanted(), {}).items()}
    assert faults(wanted(), state, {}) == []


def test_a_refused_step_is_not_tried_again_and_hides_no_other_fault() -> None:
    """All faults come at once: refused topics and wrong ones."""
    need = wanted()
    state = settled(need, {})
    del state[SOURCE]
    state[PARKED] = replace(state[PARKED], config={**state[PARKED].config, "cleanup.policy": "compact"})
    (step,) = next_steps(need, state, ())
    refusals = {SOURCE: refusal(need, step, "Authorization failed.")}
    assert next_steps(need, state, refusals) == []
    missing, compacted = faults(need, state, refusals)
    assert missing.startswith(f"topic {SOURCE}: does not exist and could not be created: Authorization failed.; ")
    assert "--create --topic hooks --partitions 6 --replication-factor 3 --config cleanup.policy=delete" in missing
    assert compacted.startswith(f"topic {PARKED}: cleanup.policy is compact")


def test_a_refused_extension_of_the_source_names_both_ways_out() -> None:
    """The operator may run the command, or take the setting back."""
    fault = refusal(wanted(), ExtendTopic(name=SOURCE, partitions=6), "Authorization failed.")
    assert "set FUSE_SYNC_TOPIC_PARTITIONS to what it has, or" in fault
    assert fault.endswith("--alter --topic hooks --partitions 6")
    assert "TOPIC_PARTITIONS" not in refusal(wanted(), ExtendTopic(name=DEAD, partitions=6), "no")


def test_a_topic_that_may_not_be_described_names_the_rights_that_are_missing() -> None:
    """The administrator gets the command that grants them."""
    fault = not_described("one:9092", SOURCE, "Authorization failed.")
    assert fault.endswith("--operation Describe --operation DescribeConfigs --topic hooks")


# On a real Kafka.


def member(cluster: Cluster, topic: str, **given: object) -> ConsumerSettings:
    """Give the settings of a member."""
    return ConsumerSettings(
        **{  # type: ignore[arg-type] # validated by pydantic
            "kafka_bootstrap_servers": cluster.bootstrap_servers,
            "tenants_file": Path("tenants.toml"),
            "topic": topic,
            "topic_partitions": 3,
            "topic_replication_factor": 1,
            "_env_file": None,
            **given,
        }
    )


def ingress(settings: PipelineSettings) -> IngressSettings:
    """Give the ingress's settings that go with those of a member."""
    shared = {name: getattr(settings, name) for name in PipelineSettings.model_fields}
    return IngressSettings(**shared, _env_file=None)


def administrator(settings: PipelineSettings) -> AdminClient:
    """Open a client of the test's own."""
    return AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})


def done(futures: Mapping[Any, Future[Any]]) -> None:
    """Wait until the cluster has done what was asked."""
    for future in futures.values():
        future.result(timeout=20)


def partition_counts(settings: PipelineSettings) -> dict[str, int]:
    """Count the partitions of all topics of a test, by what follows the source's name."""
    metadata = administrator(settings).list_topics(timeout=20)
    return {
        name.removeprefix(settings.topic): len(topic.partitions)
        for name, topic in metadata.topics.items()
        if name.startswith(settings.topic)
    }


def config(settings: PipelineSettings, name: str) -> dict[str, str | None]:
    """Read a topic's configuration."""
    resource = ConfigResource(ResourceType.TOPIC, name)
    client = administrator(settings)  # its requests end with it
    (future,) = client.describe_configs([resource]).values()
    return {key: entry.value for key, entry in future.result(timeout=20).items()}


def alter(settings: PipelineSettings, name: str, **values: str) -> None:
    """Change a topic's configuration; underscores stand for dots."""
    entries = [
        ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for key, value in values.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    client = administrator(settings)
    done(client.incremental_alter_configs([resource]))


def write_one(settings: PipelineSettings, topic: str) -> None:
    """Put a record into a topic."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    errors: list[object] = []
    producer.produce(topic, b"x", b"key", 0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    assert errors == [None]


ALL_OF_THREE = {"": 3, ".sync.outcomes": 3, ".sync.parked": 3, ".sync.dead": 3}


async def test_a_member_creates_all_that_is_missing(cluster: Cluster, topic_name: str) -> None:
    """The source and the group's topics are as the design wants them, and a second check changes nothing."""
    settings = member(cluster, topic_name)
    await ensure_topics(settings)
    await ensure_topics(settings)
    assert partition_counts(settings) == ALL_OF_THREE
    parked = config(settings, f"{topic_name}.sync.parked")
    assert parked["retention.ms"] == "-1"
    assert parked["message.timestamp.type"] == "LogAppendTime"
    assert parked["min.insync.replicas"] == "1"
    assert config(settings, f"{topic_name}.sync.outcomes")["retention.ms"] == str(WEEK_MS + DAY_MS)


async def test_the_ingress_creates_the_source_alone(cluster: Cluster, topic_name: str) -> None:
    """Groups are no business of the ingress; naming the source once more changes nothing."""
    settings = ingress(member(cluster, topic_name))
    await ensure_topics(settings)
    source = source_spec(topic_name, retention=settings.topic_retention, max_body_bytes=settings.max_body_bytes)
    await ensure_topics(settings, [source])
    assert partition_counts(settings) == {"": 3}


async def test_processes_that_start_at_once_agree(cluster: Cluster, topic_name: str) -> None:
    """Whoever loses a race looks again; the largest count wins while everything is empty."""
    starting = [member(cluster, topic_name, topic_partitions=count) for count in (1, 3, 2, 3)]
    await asyncio.gather(*map(ensure_topics, [*starting, *map(ingress, starting)]))
    await ensure_topics(starting[0])
    assert partition_counts(starting[0]) == ALL_OF_THREE


async def test_empty_topics_are_extended_and_written_ones_are_not(cluster: Cluster, topic_name: str) -> None:
    """More partitions move keys, so a source with a record keeps its count, and new groups follow it."""
    await ensure_topics(member(cluster, topic_name, topic_partitions=2))
    await ensure_topics(member(cluster, topic_name, topic_partitions=3))
    settings = member(cluster, topic_name, topic_partitions=5)
    assert partition_counts(settings) == ALL_OF_THREE
    write_one(settings, topic_name)
    await ensure_topics(member(cluster, topic_name, topic_partitions=5, group="relay"))
    assert set(partition_counts(settings).values()) == {3}


async def test_written_topics_of_a_group_follow_a_source_that_was_extended_once_it_is_drained(
    cluster: Cluster, topic_name: str
) -> None:
    """A member that does not drain is refused, one that does gets the layout, and one that has may extend."""
    settings = member(cluster, topic_name)
    assert await ensure_topics(settings) == Layout(old=3, new=3)
    for name in ("", ".sync.outcomes", ".sync.parked"):
        write_one(settings, f"{topic_name}{name}")
    client = administrator(settings)
    done(client.create_partitions([NewPartitions(topic_name, 5)]))
    with pytest.raises(ConfigurationError, match=r"sync\.outcomes: has 3 .* must have 5 .*run --repartitioned"):
        await until_refused(settings)
    assert await ensure_topics(settings, drains=True) == Layout(old=3, new=5)
    with pytest.raises(ConfigurationError):
        await ensure_topics(settings, drained_for=4)
    both = await asyncio.gather(*(ensure_topics(settings, drained_for=5) for _ in range(2)))
    assert both == [Layout(old=5, new=5)] * 2
    assert {*partition_counts(settings).values()} == {5}


async def test_the_check_reports_everything_at_once_and_its_commands_mend_it(cluster: Cluster, topic_name: str) -> None:
    """Topics as a broker creates them on first use have several faults; each names the command that ends it."""
    settings = member(cluster, topic_name)
    outcomes, parked = f"{topic_name}.sync.outcomes", f"{topic_name}.sync.parked"
    client = administrator(settings)
    done(client.create_topics([NewTopic(topic_name, 3, 1), NewTopic(outcomes, 2, 1), NewTopic(parked, 4, 1)]))
    alter(settings, topic_name, retention_ms=str(5 * WEEK_MS), cleanup_policy="compact,delete")
    for name in (topic_name, outcomes):
        write_one(settings, name)
    with pytest.raises(ConfigurationError) as refused:
        await ensure_topics(settings)
    told = [fault.removeprefix(f"topic {topic_name}").split(",")[0] for fault in refused.value.faults]
    assert ": cleanup.policy is compact" in told
    assert ".sync.outcomes: has 2 partitions" in told
    assert f".sync.outcomes: retention.ms is {WEEK_MS}" in told
    assert ".sync.parked: has 4 partitions" in told
    assert not any(".sync.parked: retention.ms" in fault for fault in told), "what is removed needs no mending"
    assert not any("sync.dead" in fault for fault in told)
    for command in commands(refused.value.faults):
        obey(settings, command)
    await until_it_passes(settings)
    assert partition_counts(settings) == ALL_OF_THREE


def obey(settings: PipelineSettings, command: list[str]) -> None:
    """Do on the cluster what a command says; what a member does that has drained is left to `until_it_passes`."""
    if command == shlex.split(DRAIN_COMMAND):
        return
    client = administrator(settings)
    if "--add-config" in command:
        key, _, value = command[-1].partition("=")
        alter(settings, command[command.index("--entity-name") + 1], **{key.replace(".", "_"): value})
    elif "--delete" in command:
        done(client.delete_topics([command[-1]]))
    else:
        name, count = command[command.index("--topic") + 1], int(command[-1])
        done(client.create_partitions([NewPartitions(name, count)]))


async def until_refused(settings: ConsumerSettings) -> None:
    """Check again until the brokers have heard of every change, and raise then; the test's time-out bounds it."""
    while True:
        await ensure_topics(settings)


async def until_it_passes(settings: ConsumerSettings) -> None:
    """Check again until the brokers have heard of every change; the test's time-out bounds it."""
    while True:
        try:
            await ensure_topics(settings, drained_for=3)
        except ConfigurationError:
            await asyncio.sleep(0.1)
        else:
            return


async def test_a_cluster_that_forbids_creation_names_the_commands_for_its_administrator() -> None:
    """Every missing topic is reported, with what an administrator has to run."""
    authorizer = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    async with EmbeddedKafka(properties=authorizer) as kafka:
        settings = member(Cluster(bootstrap_servers=kafka.bootstrap_servers, nodes=1, origin="embedded"), SOURCE)
        client = administrator(settings)
        done(client.create_acls([*denied(AclOperation.CREATE)]))
        with pytest.raises(ConfigurationError) as refused:
            await ensure_topics(settings)
        created = [command for command in commands(refused.value.faults) if "--create" in command]
        assert [command[command.index("--topic") + 1] for command in created] == [SOURCE, OUTCOMES, PARKED, DEAD]

        done(client.create_acls([*denied(AclOperation.DESCRIBE)]))
        with pytest.raises(ConfigurationError, match=r"could not be checked: .*; let an administrator run.*Describe"):
            await ensure_topics(settings)


def denied(operation: AclOperation) -> Iterator[AclBinding]:
    """Forbid everybody an operation on all topics and on the cluster, and allow all others."""
    for resource, name in ((ResourceType.TOPIC, "*"), (cast("Any", ResourceType.BROKER), "kafka-cluster")):
        for what, permission in ((AclOperation.ALL, AclPermissionType.ALLOW), (operation, AclPermissionType.DENY)):
            yield AclBinding(resource, name, ResourcePatternType.LITERAL, "User:*", "*", what, permission)


async def test_a_cluster_that_is_away_is_told_from_one_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start may be tried again; the message says what the connection met."""
    monkeypatch.setattr(topics, "_REQUEST_SECONDS", 0.3)
    away = member(Cluster(bootstrap_servers="127.0.0.1:1", nodes=1, origin="nowhere"), SOURCE)
    with pytest.raises(Retryable, match=r"FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS .*127\.0\.0\.1:1.*refused"):
        await ensure_topics(away, within=0.1)


async def test_a_client_setting_that_librdkafka_does_not_know_is_a_fault() -> None:
    """The message names the variable and the setting."""
    cluster = Cluster(bootstrap_servers="127.0.0.1:1", nodes=1, origin="nowhere")
    settings = member(cluster, SOURCE, kafka_client='{"sasl.mechanismus": "PLAIN"}')
    with pytest.raises(ConfigurationError, match=r"FUSE_SYNC_KAFKA_CLIENT: .*sasl\.mechanismus"):
        await ensure_topics(settings)

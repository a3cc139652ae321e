"""What the topics must be: the steps that make what is missing, and the faults in what is there. Pure."""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.layout import Layout
from schemas.settings import variable
from schemas.topics import OUTCOMES_MARGIN, TopicSpec, group_topics

DRAIN_COMMAND = "python -m consumer run --repartitioned"
_FOR_EVER = -1
_MOST_REPLICAS = 3
_WHY_EXACT = {
    "cleanup.policy": "since compaction removes records that are still needed",
    "message.timestamp.type": "since takeovers and audits search by the time of the append",
    "unclean.leader.election.enable": "since such an election loses acknowledged records",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a process needs: topics, the source first, and how to make those that are missing.

    `bootstrap_servers` stands in the commands that faults name. Group topics with fewer partitions than the source are
    a fault, unless `drains`: then whoever asks drains the lanes of the old layout first. `drained_for` is the partition
    count of the source for which that is done: to that, and to no other, they may be extended.
    """

    specs: Sequence[TopicSpec]
    partitions: int
    replicas: int
    bootstrap_servers: str
    drains: bool = False
    drained_for: int | None = None

    @property
    def source(self) -> TopicSpec:
        """Give the topic of verified webhooks."""
        return self.specs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTopic:
    """A topic as it is. `replicas` is the least of its partitions; `unwritten` is true if it never held a record."""

    partitions: int
    replicas: int
    unwritten: bool
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTopic:
    """Create a topic that is missing."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendTopic:
    """Raise a topic's partition count to `partitions`."""

    name: str
    partitions: int


Step = CreateTopic | ExtendTopic
Found = Mapping[str, FoundTopic]


def layout_of(wanted: Wanted, found: Found) -> Layout:
    """Tell the layout from topics that are all there. Without group topics nothing has to follow the source."""
    counts = [found[spec.name].partitions for spec in wanted.specs]
    return Layout(old=min(counts), new=found[wanted.source.name].partitions)


def default_replicas(brokers: int) -> int:
    """Choose the replication factor where nobody did."""
    return max(1, min(_MOST_REPLICAS, brokers))


def next_steps(wanted: Wanted, found: Found, refused: Collection[str]) -> Sequence[Step]:
    """Decide what to create or extend now; topics in `refused` are left alone.

    The source comes alone, since the others follow the partition count that it really has.
    """
    steps = [step for spec in wanted.specs if spec.name not in refused and (step := _step(wanted, spec, found))]
    return steps[:1] if steps and steps[0].name == wanted.source.name else steps


def _step(wanted: Wanted, spec: TopicSpec, found: Found) -> Step | None:
    topic, source = found.get(spec.name), found.get(wanted.source.name)
    count = wanted.partitions if spec is wanted.source else _source_partitions(wanted, found)
    if topic is None:
        return CreateTopic(
            name=spec.name, partitions=count, replicas=wanted.replicas, config=_creation_config(wanted, spec, found)
        )
    keys_stay = topic.unwritten or (source is not None and source.unwritten)
    may_follow = keys_stay or (spec is not wanted.source and count == wanted.drained_for)
    return ExtendTopic(name=spec.name, partitions=count) if topic.partitions < count and may_follow else None


def _source_partitions(wanted: Wanted, found: Found) -> int:
    source = found.get(wanted.source.name)
    return wanted.partitions if source is None else source.partitions


def _creation_config(wanted: Wanted, spec: TopicSpec, found: Found) -> Mapping[str, str]:
    config = {**spec.config, "min.insync.replicas": str(_least_in_sync(wanted.replicas))}
    if _is_outcomes(wanted, spec):
        config["retention.ms"] = str(_longer(int(config["retention.ms"]), _outcomes_retention(wanted, found)))
    return config


def _least_in_sync(replicas: int) -> int:
    """One replica may fail and publishing goes on; with fewer than three, nothing more can be asked."""
    return 2 if replicas >= _MOST_REPLICAS else 1


def _is_outcomes(wanted: Wanted, spec: TopicSpec) -> bool:
    source = wanted.source.name
    group = spec.name.removeprefix(f"{source}.").removesuffix(".outcomes")
    return spec is not wanted.source and spec.name == group_topics(source, group).outcomes


def _source_retention(wanted: Wanted, found: Found) -> int:
    """Give how long the source really keeps its records, in milliseconds."""
    source = found.get(wanted.source.name)
    config = wanted.source.config if source is None else source.config
    return int(config.get("retention.ms", wanted.source.config["retention.ms"]))


def _outcomes_retention(wanted: Wanted, found: Found) -> int:
    source = _source_retention(wanted, found)
    return _FOR_EVER if source == _FOR_EVER else source + int(OUTCOMES_MARGIN.total_seconds() * 1000)


def _longer(one: int, other: int) -> int:
    return _FOR_EVER if _FOR_EVER in (one, other) else max(one, other)


def faults(wanted: Wanted, found: Found, refusals: Mapping[str, str]) -> Sequence[str]:
    """List everything that cannot work, each with the command that mends it.

    `refusals` are the faults of steps that the cluster refused, by the topic's name.
    """
    return [fault for spec in wanted.specs for fault in _topic_faults(wanted, spec, found, refusals)]


def _topic_faults(wanted: Wanted, spec: TopicSpec, found: Found, refusals: Mapping[str, str]) -> Iterator[str]:
    topic, count = found.get(spec.name), _source_partitions(wanted, found)
    if spec.name in refusals:
        yield refusals[spec.name]
    elif topic is not None and topic.partitions != count and not _drains(wanted, topic, count):
        yield _partition_fault(wanted, spec.name, topic, count)
    if topic is not None and not _to_be_removed(topic, count):
        for name, must_be, why in _config_faults(wanted, spec, topic, found):
            command = _alter_config(wanted, spec.name, name, must_be)
            yield f"topic {spec.name}: {name} is {topic.config[name]}, {why}; run: {command}"


def _drains(wanted: Wanted, topic: FoundTopic, count: int) -> bool:
    """Say whether a topic has fewer partitions than the source only until the lanes of the old layout are drained."""
    return wanted.drains and topic.partitions < count


def _to_be_removed(topic: FoundTopic, count: int) -> bool:
    return topic.partitions > count and topic.unwritten


def _partition_fault(wanted: Wanted, name: str, topic: FoundTopic, count: int) -> str:
    source = wanted.source.name
    says = f"topic {name}: has {topic.partitions} partitions, but must have {count} as {source} has"
    if _to_be_removed(topic, count):
        return f"{says}; it is empty, so remove it and start again; run: {_delete(wanted, name)}"
    if topic.partitions < count:
        return (
            f"{says}; more partitions move keys, and what was written before has to end first: stop the ingresses, all "
            f"other publishers and every member, extend {source} if that is not done, start the ingresses again, and "
            f"then every member with: {DRAIN_COMMAND}"
        )
    command = _alter_partitions(wanted, source, topic.partitions)
    return (
        f"{says}, and partitions cannot be removed; stop the ingress, let every group settle everything "
        f"(more partitions move keys), run: {command}"
    )


def _config_faults(wanted: Wanted, spec: TopicSpec, topic: FoundTopic, found: Found) -> Iterator[tuple[str, str, str]]:
    """Give what is wrong as name, the value that mends it, and why; what the cluster does not tell is not judged."""
    for name, why in _WHY_EXACT.items():
        if topic.config.get(name, spec.config[name]) != spec.config[name]:
            yield name, spec.config[name], f"but must be {spec.config[name]}, {why}"
    for name, is_enough, must_be, why in _limits(wanted, spec, topic, found):
        if name in topic.config and not is_enough(int(topic.config[name])):
            yield name, str(must_be), why


_Limit = tuple[str, Callable[[int], bool], int, str]


def _limits(wanted: Wanted, spec: TopicSpec, topic: FoundTopic, found: Found) -> Iterator[_Limit]:
    yield _record_size(spec)
    yield _in_sync(topic)
    if _is_outcomes(wanted, spec):
        yield _outlives_source(wanted, found)
        yield "retention.bytes", _is_for_ever, _FOR_EVER, "but outcomes may not be removed for their size"
    elif spec.config["retention.ms"] == str(_FOR_EVER):
        yield "retention.ms", _is_for_ever, _FOR_EVER, "but what waits in it may never expire"
        yield "retention.bytes", _is_for_ever, _FOR_EVER, "but what waits in it may never be removed for its size"


def _is_for_ever(value: int) -> bool:
    return value == _FOR_EVER


def _record_size(spec: TopicSpec) -> _Limit:
    needed = int(spec.config["max.message.bytes"])
    why = f"but records with {variable('max_body_bytes')} as it is set need {needed}"
    return "max.message.bytes", lambda value: value >= needed, needed, why


def _in_sync(topic: FoundTopic) -> _Limit:
    needed = _least_in_sync(topic.replicas)
    why = f"but with {topic.replicas} replicas must be {needed}, so that what is acknowledged survives a broker"
    return "min.insync.replicas", lambda value: needed <= value <= topic.replicas, needed, why


def _outlives_source(wanted: Wanted, found: Found) -> _Limit:
    source = _source_retention(wanted, found)
    kept = "for ever" if source == _FOR_EVER else f"for {source}"
    why = f"but {wanted.source.name} keeps webhooks {kept}, and each of them needs its outcome in the log"
    return (
        "retention.ms",
        lambda value: value == _FOR_EVER or value >= source > _FOR_EVER,
        _outcomes_retention(wanted, found),
        why,
    )


def refusal(wanted: Wanted, step: Step, reason: str) -> str:
    """Say that the cluster refused a step, with the command for its administrator."""
    if isinstance(step, CreateTopic):
        says = f"topic {step.name}: does not exist and could not be created: {reason}"
        return f"{says}; let an administrator run: {_create(wanted, step)}"
    says = f"topic {step.name}: could not be extended to {step.partitions} partitions: {reason}"
    command = _alter_partitions(wanted, step.name, step.partitions)
    if step.name == wanted.source.name:
        return f"{says}; set {variable('topic_partitions')} to what it has, or let an administrator run: {command}"
    return f"{says}; let an administrator run: {command}"


def not_described(bootstrap_servers: str, name: str, reason: str) -> str:
    """Say that the cluster does not let us look at a topic, with the command for its administrator."""
    allow = ["--add", "--allow-principal", "User:NAME", "--operation", "Describe", "--operation", "DescribeConfigs"]
    command = shlex.join(["kafka-acls.sh", "--bootstrap-server", bootstrap_servers, *allow, "--topic", name])
    return (
        f"topic {name}: could not be checked: {reason}; let an administrator run, with the user of this process "
        f"for NAME: {command}"
    )


def _create(wanted: Wanted, step: CreateTopic) -> str:
    counts = ["--partitions", str(step.partitions), "--replication-factor", str(step.replicas)]
    config = [part for name, value in step.config.items() for part in ("--config", f"{name}={value}")]
    return _topics_command(wanted, "--create", step.name, *counts, *config)


def _alter_partitions(wanted: Wanted, name: str, partitions: int) -> str:
    return _topics_command(wanted, "--alter", name, "--partitions", str(partitions))


def _delete(wanted: Wanted, name: str) -> str:
    return _topics_command(wanted, "--delete", name)


def _topics_command(wanted: Wanted, action: str, name: str, *more: str) -> str:
    return shlex.join(
        ["kafka-topics.sh", "--bootstrap-server", wanted.bootstrap_servers, action, "--topic", name, *more]
    )


def _alter_config(wanted: Wanted, topic: str, name: str, value: str) -> str:
    where = ["--bootstrap-server", wanted.bootstrap_servers, "--entity-type", "topics", "--entity-name", topic]
    return shlex.join(["kafka-configs.sh", *where, "--alter", "--add-config", f"{name}={value}"])

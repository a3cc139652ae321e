"""Topic administration: the start-up check that creates and extends topics, and refuses what cannot work."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker.answers import AGAIN, answers, config_values
from broker.client import admin, kafka_error
from broker.connection_trouble import connection_fault, explanation
from broker.layout import Layout
from broker.topic_check import (
    CreateTopic,
    Found,
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
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings, PipelineSettings, variable
from schemas.telemetry import LogEvent
from schemas.topics import TopicSpec, group_specs, source_spec

_REQUEST_SECONDS = 10.0
_CHECK_SECONDS = 60.0
"""How long all may take: a cluster that starts with us, or restarts, is there within a minute."""
_PAUSE_SECONDS = 0.2

_log = structlog.get_logger()


async def ensure_topics(
    settings: PipelineSettings,
    specs: Sequence[TopicSpec] | None = None,
    *,
    within: float = _CHECK_SECONDS,
    drains: bool = False,
    drained_for: int | None = None,
) -> Layout:
    """Create or extend the source and the topics of `specs`, and check that what is there can work.

    The source, `settings.topic`, is always among them; the others get the partition count that it really has. Without
    `specs` they are what the process of these settings needs: a member the three of its group, the ingress none.
    Topics of a group may have fewer partitions than the source if the caller `drains`, and are extended to those
    `drained_for`; see `Wanted`. Gives the layout that was found or made.
    Raises ConfigurationError with every fault and the command that mends it, or after some ten seconds in which no
    broker let us in, and Retryable if the cluster does not answer within about `within` seconds.
    """
    source = source_spec(settings.topic, retention=settings.topic_retention, max_body_bytes=settings.max_body_bytes)
    wanted = _own_specs(settings) if specs is None else specs
    asked = [source, *(spec for spec in wanted if spec.name != source.name)]
    return await _ensure(settings, asked, within, partial(replace, drains=drains, drained_for=drained_for))


def _own_specs(settings: PipelineSettings) -> Sequence[TopicSpec]:
    if not isinstance(settings, ConsumerSettings):
        return ()
    return group_specs(
        settings.topic, settings.group, retention=settings.topic_retention, max_body_bytes=settings.max_body_bytes
    )


async def _ensure(
    settings: PipelineSettings, specs: Sequence[TopicSpec], within: float, allowing: Callable[[Wanted], Wanted]
) -> Layout:
    patiently = AsyncRetrying(
        retry=retry_if_exception_type(Retryable),
        stop=stop_after_delay(within),
        wait=wait_fixed(_PAUSE_SECONDS),
        reraise=True,
    )
    trouble: list[KafkaError] = []
    refusals: dict[str, str] = {}
    try:
        wanted: Wanted = allowing(await patiently(_wanted, settings, specs, trouble))
        found: Found = await patiently(_attempt, settings, wanted, refusals, trouble)
    except Retryable as error:
        raise Retryable("; ".join(filter(None, [str(error), explanation(trouble)]))) from None
    if found_faults := faults(wanted, found, refusals):
        raise ConfigurationError(found_faults)
    return layout_of(wanted, found)


@contextmanager
def _client(settings: PipelineSettings, trouble: list[KafkaError]) -> Iterator[AdminClient]:
    """Open a client for one attempt, which appends to `trouble` why it gets no connection instead of logging it.

    Another attempt needs another client: librdkafka waits for the controller that it was first told of, dead or not.
    """
    try:
        client = admin(settings, {"error_cb": trouble.append})
    except KafkaException as error:
        raise ConfigurationError([f"{variable('kafka_client')}: {kafka_error(error).str()}."]) from None
    try:
        yield client
    finally:
        client.poll(0)  # reports what librdkafka knows of its connections


async def _wanted(settings: PipelineSettings, specs: Sequence[TopicSpec], trouble: list[KafkaError]) -> Wanted:
    """Find out what to make. Raises ConfigurationError where no broker lets us in: the time-out is patience enough."""
    known = len(trouble)
    try:
        with _client(settings, trouble) as client:
            brokers = await _brokers(client)
    except Retryable:
        if refused := connection_fault(trouble[known:]):
            raise ConfigurationError([refused]) from None
        raise
    return Wanted(
        specs=specs,
        partitions=settings.topic_partitions,
        replicas=settings.topic_replication_factor or default_replicas(brokers),
        bootstrap_servers=settings.kafka_bootstrap_servers,
    )


async def _brokers(client: AdminClient) -> int:
    described = client.describe_cluster(request_timeout=_REQUEST_SECONDS)
    try:
        return len((await asyncio.wrap_future(described)).nodes)
    except KafkaException as error:
        servers = variable("kafka_bootstrap_servers")
        raise Retryable(f"no broker of {servers} answers: {kafka_error(error).str()}") from None


async def _attempt(
    settings: PipelineSettings, wanted: Wanted, refusals: dict[str, str], trouble: list[KafkaError]
) -> Found:
    with _client(settings, trouble) as client:
        return await _advance(client, wanted, refusals)


async def _advance(client: AdminClient, wanted: Wanted, refusals: dict[str, str]) -> Found:
    """Take the next steps, and raise Retryable to look again; give what was found when no step is left.

    What the cluster refuses goes to `refusals`.
    """
    found = await _look(client, wanted)
    steps = next_steps(wanted, found, refusals)
    if not steps:
        return found
    for step, error in await _take(client, steps):
        if error.code() not in AGAIN:
            refusals[step.name] = refusal(wanted, step, error.str())
    raise Retryable("the topics are not as wanted yet: " + ", ".join(step.name for step in steps))


async def _take(client: AdminClient, steps: Sequence[Step]) -> Sequence[tuple[Step, KafkaError]]:
    """Create and extend; give the steps that failed."""
    failed = []
    for step in steps:
        _, errors = await answers(_begin(client, step))
        failed += [(step, error) for error in errors.values()]
        if not errors:
            done = LogEvent.TOPIC_CREATED if isinstance(step, CreateTopic) else LogEvent.TOPIC_EXTENDED
            _log.info(done, topic=step.name, partitions=step.partitions)
    return failed


def _begin(client: AdminClient, step: Step) -> Mapping[str, Future[None]]:
    if isinstance(step, CreateTopic):
        topic = NewTopic(
            step.name,
            num_partitions=step.partitions,
            replication_factor=step.replicas,
            config=dict(step.config),
        )
        return client.create_topics([topic], operation_timeout=_REQUEST_SECONDS, request_timeout=_REQUEST_SECONDS)
    extended = NewPartitions(step.name, step.partitions)
    return client.create_partitions([extended], operation_timeout=_REQUEST_SECONDS, request_timeout=_REQUEST_SECONDS)


async def _look(client: AdminClient, wanted: Wanted) -> Found:
    descriptions = await _descriptions(client, wanted)
    configs = await _configs(client, wanted, list(descriptions))
    unwritten = await _unwritten(client, wanted, descriptions)
    return {
        name: FoundTopic(
            partitions=len(topic.partitions),
            replicas=min(len(partition.replicas) for partition in topic.partitions),
            unwritten=name in unwritten,
            config=configs[name],
        )
        for name, topic in descriptions.items()
    }


async def _descriptions(client: AdminClient, wanted: Wanted) -> Mapping[str, TopicDescription]:
    """Describe the topics that exist. Asking for metadata would create them where brokers do that on first use."""
    names = TopicCollection([spec.name for spec in wanted.specs])
    topics, errors = await answers(client.describe_topics(names, request_timeout=_REQUEST_SECONDS))
    _refuse_forbidden(
        wanted, {name: error for name, error in errors.items() if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART}
    )
    return topics


async def _configs(client: AdminClient, wanted: Wanted, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs, errors = await answers(client.describe_configs(resources, request_timeout=_REQUEST_SECONDS))
    _refuse_forbidden(wanted, {resource.name: error for resource, error in errors.items()})
    return {resource.name: config_values(entries) for resource, entries in configs.items()}


def _refuse_forbidden(wanted: Wanted, errors: Mapping[str, KafkaError]) -> None:
    """Raise ConfigurationError for what we may not see, and Retryable for what may be seen later."""
    for name, error in errors.items():
        if error.code() in AGAIN:
            raise Retryable(f"topic {name}: {error.str()}")
    if errors:
        servers = wanted.bootstrap_servers
        raise ConfigurationError([not_described(servers, name, error.str()) for name, error in errors.items()])


async def _unwritten(client: AdminClient, wanted: Wanted, topics: Mapping[str, TopicDescription]) -> frozenset[str]:
    """Name the topics that never held a record; asked only where the answer matters: when the counts are not right."""
    counts = {name: len(topic.partitions) for name, topic in topics.items()}
    source = counts.get(wanted.source.name, 0)
    if source >= wanted.partitions and {*counts.values()} == {source}:
        return frozenset()
    return frozenset([name for name, count in counts.items() if not any(await _ends(client, name, count))])


async def _ends(client: AdminClient, name: str, partitions: int) -> Sequence[int]:
    """Give the end offset of each partition."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # confluent-kafka leaves this one untyped
    places: dict[TopicPartition, OffsetSpec] = {TopicPartition(name, number): latest for number in range(partitions)}
    ends: Mapping[TopicPartition, Any]
    ends, errors = await answers(
        client.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_REQUEST_SECONDS)
    )
    for place, error in errors.items():
        raise Retryable(f"{name}[{place.partition}]: {error.str()}")
    return [end.offset for end in ends.values()]

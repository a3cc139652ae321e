"""Membership: what librdkafka is told by protocol, names that members keep over restarts, and who is not let in."""

import asyncio

import pytest
from confluent_kafka import KafkaError

from broker.client import consumer
from broker.membership import group_config, refusal_of
from broker.subscription import Subscription
from schemas.errors import ConfigurationError, MembershipRefused
from tests.broker.conftest import CreateTopic
from tests.broker.test_subscription import Recorder, frontier, settings, subscribe, until
from tests.conftest import Cluster

WITHIN = 30.0
NAME = "member-1"
FATAL = KafkaError._FATAL  # noqa: SLF001 - confluent-kafka's public name for librdkafka's local error
SERVERS = "127.0.0.1:1"
CLASSIC_ONLY = {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}


def test_only_the_classic_protocol_is_told_what_the_broker_decides_in_the_other() -> None:
    """With one of these librdkafka refuses to be a member under the consumer protocol."""
    classic = group_config(settings(SERVERS, "hooks"))
    modern = group_config(settings(SERVERS, "hooks", group_protocol="consumer"))
    assert {*classic} - {*modern} == CLASSIC_ONLY
    assert (classic["group.protocol"], modern["group.protocol"]) == ("classic", "consumer")
    assert (classic["session.timeout.ms"], classic["heartbeat.interval.ms"]) == (6000, 1200)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_has_a_name_of_its_own_only_where_it_was_given_one(protocol: str) -> None:
    """An empty name would be one that all members share."""
    named = group_config(settings(SERVERS, "hooks", group_protocol=protocol, group_instance_id=NAME))
    assert named["group.instance.id"] == NAME
    assert "group.instance.id" not in group_config(settings(SERVERS, "hooks", group_protocol=protocol))


@pytest.mark.parametrize("name", ["group.protocol", "group.instance.id", "group.remote.assignor"])
def test_what_has_a_setting_of_ours_cannot_be_given_behind_it(name: str) -> None:
    """The start-up check would look at one protocol, and the member join with the other."""
    given = settings(SERVERS, "hooks", kafka_client=f'{{"{name}": "consumer"}}')
    with pytest.raises(ConfigurationError, match=f"{name} is set by fuse-sync itself"):
        consumer(given, {})


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._TRANSPORT,  # noqa: SLF001 - as above
    ],
)
def test_what_a_rebalance_or_a_broker_causes_ends_no_member(code: int) -> None:
    """These pass by themselves."""
    assert refusal_of(KafkaError(code), settings(SERVERS, "hooks")) is None


def test_a_fatal_error_of_any_kind_ends_a_member() -> None:
    """The consumer answers after it, but is in no group any more, and nobody would notice."""
    refusal = refusal_of(KafkaError(FATAL, "Fatal error: something new"), settings(SERVERS, "hooks"))
    assert "something new" in str(refusal)


async def test_a_name_that_is_used_twice_ends_one_of_the_two_and_says_so(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """With the classic protocol it is the earlier process, with the consumer protocol the later; the other goes on."""
    topic = create_topic(2)
    first, second = Recorder(), Recorder()
    async with subscribe(cluster, topic, first, group_protocol=protocol, group_instance_id=NAME) as one:
        await until(lambda: len(first.held) == 2, one)
        async with subscribe(cluster, topic, second, group_protocol=protocol, group_instance_id=NAME) as other:
            async with asyncio.timeout(WITHIN):
                await asyncio.wait([one.failure, other.failure], return_when=asyncio.FIRST_COMPLETED)
            ended, holder, owner = (one, second, other) if protocol == "classic" else (other, first, one)
            assert isinstance(refusal := ended.failure.result(), MembershipRefused)
            assert str(refusal).startswith(f"FUSE_SYNC_GROUP_INSTANCE_ID: {NAME} is the name of ")
            await until(lambda: len(holder.held) == 2, owner)
            held = holder.held[0]
            assert await owner.commit([frontier(held, 0)]) == {held.tenure}
            assert await ended.commit([frontier(held, 0)]) == frozenset()


async def test_a_named_member_that_is_soon_back_gets_its_partitions_again_and_nobody_else_notices(
    cluster: Cluster, create_topic: CreateTopic, protocol: str
) -> None:
    """A restart moves nothing: neither do the others let go of anything, nor do they get what it had for a while."""
    topic = create_topic(4)
    bystander, before, after = Recorder(), Recorder(), Recorder()
    before.commits_at_release = lambda held: frontier(held, 0, "let go in order")
    async with subscribe(cluster, topic, bystander, group_protocol=protocol, group_instance_id="bystander") as other:
        async with subscribe(cluster, topic, before, group_protocol=protocol, group_instance_id=NAME) as first_run:
            await until(lambda: [len(member.held) for member in (bystander, before)] == [2, 2], other, first_run)
            kept, had, let_go = dict(bystander.held), {*before.held}, list(bystander.let_go)
        async with subscribe(cluster, topic, after, group_protocol=protocol, group_instance_id=NAME) as second_run:
            await until(lambda: {*after.held} == had, other, second_run)
            assert {held.metadata for held in after.held.values()} == {"let go in order"}
            tenures_at_end = {held.tenure for held in bystander.held.values()}
    # At its own end it let go of what it held: the same as ever.
    assert sorted(bystander.let_go[len(let_go) :]) == sorted(kept)
    assert {held.tenure for held in kept.values()} == tenures_at_end


async def test_a_session_timeout_that_kafka_refuses_ends_the_member_and_names_the_setting(
    cluster: Cluster, create_topic: CreateTopic
) -> None:
    """It would ask for ever to be let in, where the start-up check may not see the brokers' bounds."""
    topic = create_topic(1)
    given = settings(cluster.bootstrap_servers, topic, session_timeout_seconds=1)
    async with asyncio.timeout(WITHIN), Subscription(given, Recorder()) as subscription:
        failure = await subscription.failure
    assert isinstance(failure, MembershipRefused)
    assert str(failure).startswith("FUSE_SYNC_SESSION_TIMEOUT_SECONDS: ")

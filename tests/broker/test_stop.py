"""Stopping a member on a real Kafka: nobody else gets its partitions before it has let them go."""

import asyncio

from tests.broker.conftest import CreateTopic
from tests.broker.test_subscription import Recorder, subscribe, until
from tests.conftest import Cluster

LONGER_THAN_SESSION = 7
"""The session timeout is at most 6 s with the classic protocol, and with the other the cluster's 5 s."""


async def test_a_stop_that_takes_longer_than_the_session_keeps_the_partitions_until_they_are_let_go(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic, protocol: str
) -> None:
    """While a Kafka consumer closes it sends no heartbeats: letting go inside it, the member was taken for dead."""
    create_topic(2)
    slow, next_owner = Recorder(), Recorder()
    given = {"group_protocol": protocol, "session_timeout_seconds": 3 if cluster.quick_groups else 6}
    leaving = subscribe(cluster, topic_name, slow, **given)
    await leaving.__aenter__()
    await until(lambda: len(slow.held) == 2, leaving)
    slow.may_release.clear()
    stop = asyncio.create_task(leaving.__aexit__(None, None, None))
    await slow.letting_go.wait()
    async with subscribe(cluster, topic_name, next_owner, **given) as joining:
        loop = asyncio.get_running_loop()
        release = loop.time() + LONGER_THAN_SESSION
        await until(lambda: bool(next_owner.held) or loop.time() > release, joining)
        assert not next_owner.held, "partitions were given away while their owner was still letting them go"
        slow.may_release.set()
        await stop
        await until(lambda: len(next_owner.held) == 2, joining)

"""What the tests of the Kafka clients share: topics that exist."""

from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import Cluster

CreateTopic = Callable[..., str]
PROTOCOLS = ("classic", "consumer")


def create(servers: str, name: str, partitions: int, **config: str) -> None:
    """Create a topic with one replica; underscores in the names of its configuration stand for dots."""
    topic = NewTopic(name, partitions, 1, config={key.replace("_", "."): config[key] for key in config})
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.create_topics([topic]).values():
        future.result(timeout=20)


@pytest.fixture
def create_topic(cluster: Cluster, topic_name: str) -> CreateTopic:
    """Give a function that creates the test's topic: its partitions, and its configuration."""

    def create_it(partitions: int, **config: str) -> str:
        create(cluster.bootstrap_servers, topic_name, partitions, **config)
        return topic_name

    return create_it


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """Give each protocol of consumer groups."""
    name = str(request.param)
    if name == "consumer" and not cluster.quick_groups:
        pytest.skip("with the consumer protocol this cluster takes steps of seconds, and another session timeout")
    return name

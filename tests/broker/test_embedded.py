"""The embedded Kafka: a real one, restartable node by node, and gone without a trace."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.embedded import EmbeddedKafka, EmbeddedKafkaUnavailable
from broker.embedded.configuration import HOST, Ports, server_properties
from broker.embedded.ports import free_ports, is_free
from tests.conftest import Cluster

_OWNER = """
import asyncio, tempfile
from broker.embedded import EmbeddedKafka

async def main():
    print("starting", flush=True)
    async with EmbeddedKafka() as kafka:
        print(kafka.bootstrap_servers, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def _create(servers: str, topic: str, *, replicas: int) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    for created in admin.create_topics([NewTopic(topic, 1, replicas)]).values():
        created.result(30)
    _wait_until(lambda: _in_sync(admin, topic) == replicas)


def _in_sync(admin: AdminClient, topic: str) -> int:
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return len(partitions[0].isrs) if 0 in partitions else 0


def _produce(servers: str, topic: str, values: range) -> list[object]:
    """Produce with acks=all and return the errors."""
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "delivery.timeout.ms": 30_000})
    for value in values:
        producer.produce(
            topic, str(value).encode(), on_delivery=lambda error, _: failed.append(error) if error else None
        )
    assert producer.flush(40) == 0
    return failed


def _read(servers: str, topic: str, count: int) -> list[int]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        messages = consumer.consume(count, timeout=30)
    finally:
        consumer.close()
    return [int(message.value() or b"-1") for message in messages]


def _wait_until(done: Callable[[], object], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _ports(bootstrap_servers: str) -> list[int]:
    return [int(server.rpartition(":")[2]) for server in bootstrap_servers.split(",")]


def _folders(parent: Path) -> list[Path]:
    return list(parent.glob("fuse-sync-kafka-*"))


needs_kafka = pytest.mark.usefixtures("embeddable")


@pytest.fixture(scope="module")
def kafka(embeddable: None) -> Iterator[EmbeddedKafka]:
    """Give a node to whom it does not matter what others did to it."""
    assert embeddable is None
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary directories be made where the test sees them, also by processes that it starts."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_shared_cluster_answers_with_all_its_nodes(cluster: Cluster) -> None:
    """Tests that need no restart share one cluster for the whole run."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    assert len(admin.list_topics(timeout=10).brokers) == cluster.nodes


@needs_kafka
async def test_restarted_node_keeps_its_address_and_its_data(topic_name: str) -> None:
    """A node stopped in order or killed comes back on the same port with every record."""
    async with EmbeddedKafka() as kafka:
        servers = kafka.bootstrap_servers
        await asyncio.to_thread(_create, servers, topic_name, replicas=1)
        assert await asyncio.to_thread(_produce, servers, topic_name, range(100)) == []
        for graceful in (True, False):
            await kafka.stop_node(0, graceful=graceful)
            assert all(map(is_free, _ports(servers)))
            await kafka.start_node(0)
            assert kafka.bootstrap_servers == servers
        assert await asyncio.to_thread(_read, servers, topic_name, 100) == list(range(100))


@needs_kafka
async def test_three_nodes_take_records_while_one_is_killed_and_back(topic_name: str) -> None:
    """With two of three in sync acks=all still succeeds, and the third catches up when it is back."""
    async with EmbeddedKafka(nodes=3) as kafka:
        servers = kafka.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": servers})
        await asyncio.to_thread(_create, servers, topic_name, replicas=3)
        await kafka.stop_node(1, graceful=False)
        assert await asyncio.to_thread(_produce, servers, topic_name, range(500)) == []
        assert _in_sync(admin, topic_name) < 3
        await kafka.start_node(1)
        assert await asyncio.to_thread(_produce, servers, topic_name, range(500, 1000)) == []
        await asyncio.to_thread(_wait_until, lambda: _in_sync(admin, topic_name) == 3)
        assert await asyncio.to_thread(_read, servers, topic_name, 1000) == list(range(1000))


@needs_kafka
def test_no_process_file_or_port_is_left_at_the_end(temporary: Path) -> None:
    """Leaving the block, with an error even, ends the node and removes its directory; a paused node is no obstacle."""
    ports = []

    def fail_with_a_paused_node() -> None:
        with EmbeddedKafka() as kafka:
            ports.extend(_ports(kafka.bootstrap_servers))
            assert not any(map(is_free, ports))
            assert len(_folders(temporary)) == 1
            kafka.pause_node(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_a_paused_node()
    assert all(map(is_free, ports))
    assert _folders(temporary) == []


def test_paused_node_answers_when_it_is_resumed(kafka: EmbeddedKafka) -> None:
    """A frozen broker keeps its connections and says nothing: that is what it is for."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    kafka.pause_node(0)
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    kafka.resume_node(0)
    assert len(admin.list_topics(timeout=20).brokers) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["starting", "started"])
@needs_kafka
def test_owner_leaves_nothing_however_it_ends(temporary: Path, number: signal.Signals, moment: str) -> None:
    """Ctrl-C reaches the owner's process group, SIGKILL the owner alone; neither leaves a Java or a directory."""
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "starting\n"
        ports = _ports(owner.stdout.readline().strip()) if moment == "started" else []
        _wait_until(lambda: any(temporary.glob("fuse-sync-kafka-*/node-0/data/*")))
        os.killpg(owner.pid, number)
        owner.wait(30)
        _wait_until(lambda: not _folders(temporary) and all(map(is_free, ports)))
        assert not _javas(temporary)


def _javas(parent: Path) -> list[str]:
    """List the command lines that name a file below `parent`."""
    found = subprocess.run(["ps", "-Ao", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if f"{parent}/fuse-sync-kafka" in line]


@needs_kafka
def test_failed_start_shows_what_kafka_printed(temporary: Path) -> None:
    """Who gives a property that Kafka refuses reads Kafka's own words, and nothing is left of the attempt."""
    with pytest.raises(EmbeddedKafkaUnavailable, match=r"(?s)Node 0 .* last lines:.*soon.*log\.retention\.ms"):
        EmbeddedKafka(properties={"log.retention.ms": "soon"}).start()
    assert _folders(temporary) == []


@needs_kafka
def test_start_goes_on_when_a_port_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may take a port after it was found free: Kafka says so and the start is tried on others."""
    with socket.create_server((HOST, 0)) as taken:
        batches = [[taken.getsockname()[1], *free_ports(1)], free_ports(2)]
        expected = batches[1][0]
        monkeypatch.setattr("broker.embedded.cluster.free_ports", lambda _: batches.pop(0))
        monkeypatch.setattr("broker.embedded.node.is_free", lambda _: True)
        monkeypatch.setattr("broker.embedded.node.is_listening", lambda port: port == expected)
        with EmbeddedKafka() as kafka:
            assert _ports(kafka.bootstrap_servers) == [expected]


def test_node_that_runs_is_not_started_twice(kafka: EmbeddedKafka) -> None:
    """A second process on the same data would ruin it."""
    with pytest.raises(ValueError, match="node 0 is running"):
        asyncio.run(kafka.start_node(0))


def test_cluster_has_one_node_or_three() -> None:
    """Two nodes have no quorum to lose, and more show nothing that three do not."""
    with pytest.raises(ValueError, match="1 or 3 nodes, not 2"):
        EmbeddedKafka(nodes=2)


@pytest.mark.parametrize(("nodes", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_configuration_replicates_as_far_as_there_are_nodes(nodes: int, replicas: str, in_sync: str) -> None:
    """Internal topics are as safe as the others, and what the caller gives wins over all of it."""
    ports = [Ports(client=2 * i + 1, controller=2 * i + 2) for i in range(nodes)]
    text = server_properties(nodes - 1, ports, Path("/data"), {"group.initial.rebalance.delay.ms": "7"})
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert found["node.id"] == str(nodes)
    assert found["listeners"] == f"PLAINTEXT://{HOST}:{2 * nodes - 1},CONTROLLER://{HOST}:{2 * nodes}"
    assert found["offsets.topic.replication.factor"] == found["default.replication.factor"] == replicas
    assert found["min.insync.replicas"] == found["transaction.state.log.min.isr"] == in_sync
    assert found["group.initial.rebalance.delay.ms"] == "7"
    assert found["auto.create.topics.enable"] == "false"


def test_free_ports_are_distinct_and_below_those_of_outgoing_connections() -> None:
    """From the ephemeral range a reconnecting client could end up connected to itself on a stopped node's port."""
    found = free_ports(50)
    assert len(set(found)) == 50
    assert all(1024 < port < 32_768 for port in found)


def test_port_in_use_is_not_free() -> None:
    """The probe sees a listener."""
    with socket.create_server((HOST, 0)) as listener:
        assert not is_free(listener.getsockname()[1])

"""Caches of what Kafka needs at its start: `python -m broker.embedded.aot` has Java write them, once.

With them a node answers after half the time, and half the CPU. A Java program that ends in order writes down which
classes it loaded, and how they were linked (ahead-of-time cache, JEP 483 and 514); those that come after begin with
that. This is worth its quarter of a minute where many nodes are started, as by the tests.
"""

import sys
import tempfile
import threading
import uuid
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.embedded.configuration import Java, Ports
from broker.embedded.errors import EmbeddedKafkaUnavailable
from broker.embedded.jars import find_java
from broker.embedded.node import NODE_CLASS, Node
from broker.embedded.ports import free_ports
from schemas.errors import ConfigurationError

_ANSWER_SECONDS = 30.0


def write_caches(java: Java) -> None:
    """Let a node work for a moment, and end it in order.

    The caches replace those that are there. Raises EmbeddedKafkaUnavailable if Kafka cannot be started, or does not end
    in time.
    """
    java.caches.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=java.caches) as directory:
        fresh = Path(directory)
        _train(replace(java, caches=fresh, writes_caches=True), fresh)
        if not (fresh / f"{NODE_CLASS}.aot").exists():
            raise EmbeddedKafkaUnavailable("a node did not end in the time in which it would have written its cache")
        for cache in fresh.glob("*.aot"):
            cache.replace(java.caches / cache.name)


def _train(java: Java, directory: Path) -> None:
    client, controller = free_ports(2)
    ports = Ports(client=client, controller=controller)
    node = Node(0, java, directory, ports, threading.Event())
    node.configure([ports], {})
    try:
        node.begin_format(uuid.uuid4().hex[:22])
        node.await_format()
        node.begin()
        node.await_ready(1)
        _work(node.bootstrap_server)
        node.stop(graceful=True)
    finally:
        node.stop(graceful=False)


def _work(servers: str) -> None:
    """Have a record written, and read by a group: what nearly everybody does with a node."""
    own: dict[str, str | int | float | bool] = {"bootstrap.servers": servers, "log_level": 0}
    admin = AdminClient(own)
    for created in admin.create_topics([NewTopic("training", 1)]).values():
        created.result(_ANSWER_SECONDS)
    producer = Producer({**own, "enable.idempotence": True})
    producer.produce("training", b"")
    producer.flush(_ANSWER_SECONDS)
    consumer = Consumer({**own, "group.id": "training", "auto.offset.reset": "earliest"})
    consumer.subscribe(["training"])
    consumer.consume(1, _ANSWER_SECONDS)
    consumer.close()  # commits, too


def main() -> None:
    """Write the caches; where there is no Kafka to start, say so and leave it: nothing needs them."""
    try:
        write_caches(find_java())
    except (ConfigurationError, EmbeddedKafkaUnavailable, KafkaException) as error:
        sys.stderr.write(f"An embedded Kafka will start without caches: {error}\n")


if __name__ == "__main__":
    main()

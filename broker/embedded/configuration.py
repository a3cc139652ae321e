"""What an embedded node is told: its `server.properties` and its command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The two TCP ports of one node, on the loopback address."""

    client: int
    controller: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """How to run a Java program of Kafka.

    `caches` is the folder of Java's caches of what a program needs at its start, one for each (see `aot`); with
    `writes_caches` a program that ends in order writes its own.
    """

    executable: Path
    jars: Sequence[Path]
    caches: Path
    writes_caches: bool = False


_NO_ADAPTERS = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching")
"""Java 25 caches adapters of its calling conventions too, finds some of them odd, and prints a warning for each."""

_QUICK = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "2000",
    # With the consumer protocol each step of a rebalance takes a heartbeat, every five seconds by default.
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.session.timeout.ms": "2000",
    "group.consumer.session.timeout.ms": "5000",
    # Nine seconds by default: so long a killed node's successor on the same data would wait to be let in.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
    # Fifty partitions each by default, which one machine need not create before the first group can join.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # Memory that is taken at the start, 128 MiB by default.
    "log.cleaner.dedupe.buffer.size": "4194304",
}


def server_properties(node: int, ports: Sequence[Ports], data: Path, given: Mapping[str, str]) -> str:
    """Write the configuration of `node`, an index into `ports`; what is `given` wins, save `listeners`: added.

    Every node is both broker and controller. Kafka counts nodes from 1 here.
    """
    voters = ",".join(f"{i}@{HOST}:{each.controller}" for i, each in enumerate(ports, start=1))
    own = ports[node]
    listeners = [f"PLAINTEXT://{HOST}:{own.client}", f"CONTROLLER://{HOST}:{own.controller}"]
    if added := given.get("listeners"):
        listeners.append(added)
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(node + 1),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        **broker_defaults(len(ports)),
        **given,
        "listeners": ",".join(listeners),
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def command(java: Java, main_class: str, *arguments: str) -> list[str]:
    """Compose the command line of a Java program of Kafka, small enough for a laptop and a test machine."""
    return [
        str(java.executable),
        "-Xmx384m",
        "-XX:+UseSerialGC",
        # A third less CPU until the node answers; the second compiler pays only after minutes that no test lasts.
        "-XX:TieredStopAtLevel=1",
        *_cache_options(java, java.caches / f"{main_class}.aot"),
        "-Djava.awt.headless=true",
        # Warnings and worse, with their time, on standard error.
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-cp",
        ":".join(map(str, java.jars)),
        main_class,
        *arguments,
    ]


def _cache_options(java: Java, cache: Path) -> list[str]:
    if java.writes_caches:
        return [*_NO_ADAPTERS, f"-XX:AOTCacheOutput={cache}"]
    # Java goes on without one that does not fit: other jars, another Java.
    return [*_NO_ADAPTERS, f"-XX:AOTCache={cache}"] if cache.exists() else []


def broker_defaults(nodes: int) -> dict[str, str]:
    """Configure a broker for tests and demos: replicated as its cluster allows, strict, and quick to begin."""
    factor, in_sync = str(min(3, nodes)), "2" if nodes >= 3 else "1"  # noqa: PLR2004 - a quorum of three is two
    return {
        **_QUICK,
        "default.replication.factor": factor,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": factor,
        "transaction.state.log.replication.factor": factor,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": factor,
        "share.coordinator.state.topic.min.isr": in_sync,
    }

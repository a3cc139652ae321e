"""The Kafka that the tests run on: a given one, one in Docker, or the embedded one."""

import gc
import os
import re
import signal
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from confluent_kafka.admin import AdminClient

from broker.embedded import EmbeddedKafka, EmbeddedKafkaUnavailable, resolve_jars
from broker.embedded.configuration import broker_defaults
from broker.embedded.jars import java_executable
from broker.embedded.ports import free_ports
from schemas.errors import ConfigurationError

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")
"""How long an example takes says more about the machine than about the code."""

_IMAGE = "apache/kafka:4.3.1"
_PORT = 9092
_ENGINE_ANSWERS_WITHIN = 2
_CONTAINER_READY_WITHIN = 60
_ORIGIN = pytest.StashKey[str]()
_COLLECT_AFTER = 100_000
_SCENARIOS = Path(__file__).with_name("scenarios")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A real Apache Kafka that tests share: use fresh topics and groups, change nothing else.

    `quick_groups` says whether it was told to be quick with the consumer protocol, which members cannot ask for.
    """

    bootstrap_servers: str
    nodes: int
    origin: str
    quick_groups: bool = True


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a longer run of kills be asked for."""
    parser.addoption("--moments", type=int, default=4, help="kills and freezes of members, with each group protocol")


def pytest_configure() -> None:
    """Prepare the process.

    What tests start is to be interrupted, whoever started them: what a shell starts with `&` ignores SIGINT. Garbage is
    collected rarely, as in production: to look at all that is imported takes a tenth of the time of the tests.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


@pytest.fixture
def moments(pytestconfig: pytest.Config) -> int:
    """Give the number of kills and freezes."""
    return int(pytestconfig.getoption("--moments"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a Kafka, so that `-m 'not kafka'` leaves it out, and put first what takes long.

    Side by side, the files are begun in this order: whatever takes a minute must not be the last to begin.
    """
    items.sort(key=lambda item: item.path.parent != _SCENARIOS)  # stable: no file is torn apart
    for item in items:
        if not {"cluster", "embeddable"}.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which Kafka the tests ran on."""
    if _ORIGIN in config.stash:
        terminalreporter.write_line(f"Kafka: {config.stash[_ORIGIN]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that gathers the results which Kafka this one's tests ran on."""
    output: dict[str, str] | None = getattr(session.config, "workeroutput", None)
    if output is not None and _ORIGIN in session.config.stash:
        output["kafka"] = session.config.stash[_ORIGIN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - xdist gives its classes no types
    """Take note of what a process of tests tells at its end."""
    if "kafka" in getattr(node, "workeroutput", {}):
        node.config.stash[_ORIGIN] = node.workeroutput["kafka"]


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Give the cluster of `FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS`, else one in Docker, else an embedded node.

    A test that can have none is skipped with the reason, but fails where `CI` is set.
    """
    with ExitStack() as stack:
        with _skipping():
            found = _given() or _in_docker(stack) or _embedded(stack)
        pytestconfig.stash[_ORIGIN] = found.origin
        yield found


@pytest.fixture(scope="session")
def embeddable() -> None:
    """Skip, or fail where `CI` is set, what starts an EmbeddedKafka of its own where none can be had."""
    with _skipping():
        java_executable()
        resolve_jars()


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """Name a topic that nobody else has used; it is not created."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    return f"{readable}.{uuid.uuid4().hex[:8]}"


@contextmanager
def _skipping() -> Iterator[None]:
    try:
        yield
    except (ConfigurationError, EmbeddedKafkaUnavailable) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"No Kafka to test with: {error}")


def _given() -> Cluster | None:
    servers = os.environ.get("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        return None
    metadata = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10)
    origin = f"given, {servers}"
    return Cluster(bootstrap_servers=servers, nodes=len(metadata.brokers), origin=origin, quick_groups=False)


def _embedded(stack: ExitStack) -> Cluster:
    kafka = stack.enter_context(EmbeddedKafka())
    return Cluster(bootstrap_servers=kafka.bootstrap_servers, nodes=kafka.nodes, origin="embedded")


def _in_docker(stack: ExitStack) -> Cluster | None:
    """Start Apache's own image where a Docker engine answers and its ports are reached through its host.

    testcontainers' KafkaContainer starts Confluent's image by scripts that Apache's does not have; hence the plain
    container. Written from the sources of both; it has not been run on a machine with Docker yet.
    """
    host = _docker_host()
    if host is None:
        return None
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow, and useless without an engine

    (port,) = free_ports(1)
    container = DockerContainer(_IMAGE).with_bind_ports(_PORT, port).with_envs(**_environment(host, port))
    stack.enter_context(container)
    servers = f"{host}:{port}"
    AdminClient({"bootstrap.servers": servers}).list_topics(timeout=_CONTAINER_READY_WITHIN)
    return Cluster(bootstrap_servers=servers, nodes=1, origin=f"{_IMAGE} in Docker")


def _docker_host() -> str | None:
    # A client that meets no engine leaves its socket to the garbage collector, which would fail some later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return _ping_docker()
        finally:
            gc.collect()


def _ping_docker() -> str | None:
    from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - slow; it has no types
    from testcontainers.core.config import ConnectionMode  # noqa: PLC0415 - likewise
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - likewise

    try:
        engine = DockerClient(timeout=_ENGINE_ANSWERS_WITHIN)
        engine.client.ping()
    except (DockerException, OSError):
        return None
    # Inside a container the address of another one is known only when it runs: too late to advertise it.
    host = engine.host() if engine.get_connection_mode() is ConnectionMode.docker_host else None
    engine.client.close()
    return host


def _environment(host: str, port: int) -> dict[str, str]:
    properties = {
        **broker_defaults(1),
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://:{_PORT},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}

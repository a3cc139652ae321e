"""The embedded cluster: started, stopped node by node, and gone without a trace."""

import asyncio
import shutil
import signal
import tempfile
import threading
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from broker.embedded.configuration import Java, Ports
from broker.embedded.errors import PortTaken
from broker.embedded.jars import find_java
from broker.embedded.node import Node
from broker.embedded.ports import free_ports

_ATTEMPTS = 3
"""Starts on ports of our choice, each of which somebody may take before Kafka does."""


class EmbeddedKafka:
    """A cluster of one or three Kafka nodes in processes of this machine, on the loopback address.

    A context manager, `async with` or `with`; once entered, all nodes answer. Each node is broker and controller.
    `properties` are Kafka's own (`server.properties`) and win over ours, save that `listeners` come on top of the
    one of `bootstrap_servers`; their ports are yours, so they fit one node only. Nodes are counted from 0.

    The data lives in a temporary directory, removed at the end. No process of the cluster survives this one, and
    neither does the directory, even where this process is ended by SIGKILL. Entering raises ConfigurationError where
    the extra `embedded-kafka` is missing, and EmbeddedKafkaUnavailable where Kafka cannot be fetched or started.
    """

    def __init__(self, *, nodes: int = 1, properties: Mapping[str, str] = MappingProxyType({})) -> None:
        if nodes not in {1, 3}:
            raise ValueError(f"an embedded Kafka has 1 or 3 nodes, not {nodes}")
        self._size = nodes
        self._properties = properties
        self._directory: Path | None = None
        self._nodes: list[Node] = []
        self._abandoned = threading.Event()

    @property
    def bootstrap_servers(self) -> str:
        """Hosts and ports of all nodes, for clients."""
        return ",".join(node.bootstrap_server for node in self._nodes)

    @property
    def nodes(self) -> int:
        """How many nodes the cluster has, running or not."""
        return self._size

    async def stop_node(self, i: int, *, graceful: bool = True) -> None:
        """Stop node `i`: in order within 30 s, or by SIGKILL after that or when not `graceful`."""
        await asyncio.to_thread(self._nodes[i].stop, graceful=graceful)

    async def start_node(self, i: int) -> None:
        """Start node `i` again, on its old ports with its old data, and wait until it answers."""
        node = self._nodes[i]
        await asyncio.to_thread(node.begin)
        await asyncio.to_thread(node.await_ready, 1)

    def pause_node(self, i: int) -> None:
        """Freeze node `i` (SIGSTOP): its connections stay open and nothing is answered."""
        self._nodes[i].send(signal.SIGSTOP)

    def resume_node(self, i: int) -> None:
        """Let node `i` go on after `pause_node` (SIGCONT)."""
        self._nodes[i].send(signal.SIGCONT)

    def start(self) -> None:
        """Start all nodes and wait until they answer; a few seconds, more where the jars must be fetched first."""
        java = find_java()
        try:
            self._start(java)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes and remove the directory."""
        for node in self._nodes:
            # Nobody will read this data again: an orderly end would only cost time, and without a quorum minutes.
            node.stop(graceful=False)
        self._nodes = []
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            # The thread goes on, sees this at its next wait and takes down what it has started.
            self._abandoned.set()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _start(self, java: Java) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._prepare(java)
                self._boot()
            except PortTaken:
                self.stop()
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    def _prepare(self, java: Java) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="fuse-sync-kafka-"))
        found = iter(free_ports(2 * self._size))
        ports = [Ports(client=client, controller=controller) for client, controller in zip(found, found, strict=True)]
        self._nodes = [Node(i, java, self._directory, own, self._abandoned) for i, own in enumerate(ports)]
        for node in self._nodes:
            node.configure(ports, self._properties)

    def _boot(self) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in self._nodes:
            node.begin_format(cluster_id)
        for node in self._nodes:
            node.await_format()
        for node in self._nodes:
            node.begin()
        for node in self._nodes:
            node.await_ready(self._size)

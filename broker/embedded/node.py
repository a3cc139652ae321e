"""One node of the embedded cluster: formatted, started, stopped, asked whether it answers."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.embedded.configuration import HOST, Java, Ports, command, server_properties
from broker.embedded.errors import EmbeddedKafkaUnavailable, PortTaken
from broker.embedded.ports import is_free, is_listening
from broker.embedded.process import GuardedProcess, last_lines

NODE_CLASS = "kafka.Kafka"

_FORMATTED_WITHIN = 60.0
_READY_WITHIN = 60.0
_STOPPED_WITHIN = 30.0
_PORTS_FREE_WITHIN = 10.0
_METADATA_WITHIN = 5.0
_POLL = 0.05
"""All in seconds."""

# librdkafka prints to standard error what it has no logger for, and a node that is not up yet is nothing to print.
_silent = logging.getLogger("broker.embedded.probe")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Node:
    """A node that can be started again on the same ports with the same data; one thread at a time.

    `number` counts from 0. Setting `abandoned` ends every wait with EmbeddedKafkaUnavailable.
    """

    def __init__(self, number: int, java: Java, cluster: Path, ports: Ports, abandoned: threading.Event) -> None:
        self.number = number
        self.bootstrap_server = f"{HOST}:{ports.client}"
        self._java = java
        self._ports = ports
        self._abandoned = abandoned
        self._cluster = cluster
        self._directory = cluster / f"node-{number}"
        self._log = self._directory / "kafka.log"
        self._properties = self._directory / "server.properties"
        self._process: GuardedProcess | None = None

    @property
    def is_running(self) -> bool:
        """Say whether there is a process, paused or not."""
        return self._process is not None and self._process.returncode is None

    def configure(self, ports: Sequence[Ports], given: Mapping[str, str]) -> None:
        """Write what Kafka reads; `ports` are those of all nodes."""
        self._directory.mkdir()
        properties = server_properties(self.number, ports, self._directory / "data", given)
        self._properties.write_text(properties)

    def begin_format(self, cluster_id: str) -> None:
        """Begin to prepare the data folder."""
        # One word: an identifier may begin with a dash, and would be taken for an option of its own.
        self._run("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(self._properties))

    def await_format(self) -> None:
        """Wait until the data folder is prepared."""
        ended = self._wait_until(lambda: not self.is_running, _FORMATTED_WITHIN)
        if not ended or self._process is None or self._process.returncode != 0:
            raise self._failure("could not format its data folder")

    def begin(self) -> None:
        """Begin to start the node; raise PortTaken where its ports do not get free."""
        if self.is_running:
            raise ValueError(f"node {self.number} is running; stop it first")
        own = (self._ports.client, self._ports.controller)
        if not self._wait_until(lambda: all(map(is_free, own)), _PORTS_FREE_WITHIN):
            raise PortTaken(f"Ports {own} of node {self.number} of the embedded Kafka are in use by somebody else.")
        self._run(NODE_CLASS, str(self._properties))

    def await_ready(self, brokers: int) -> None:
        """Wait until the node answers and knows itself and at least `brokers` brokers in all."""
        if not self._wait_until(lambda: self._answers(brokers), _READY_WITHIN):
            raise self._failure(f"did not answer within {_READY_WITHIN:.0f} s")

    def stop(self, *, graceful: bool) -> None:
        """End the node's process, with SIGTERM and half a minute's time when `graceful`, else with SIGKILL."""
        if self._process is None:
            return
        if graceful:
            # A paused process would take the request only when it is resumed.
            self._process.send(signal.SIGCONT)
            self._process.send(signal.SIGTERM)
            self._process.wait(_STOPPED_WITHIN)
        self._process.kill()
        self._process = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the node's process."""
        if self._process is not None:
            self._process.send(number)

    def _run(self, main_class: str, *arguments: str) -> None:
        self.stop(graceful=False)
        line = command(self._java, main_class, *arguments)
        self._process = GuardedProcess(line, directory=self._cluster, log=self._log)

    def _answers(self, brokers: int) -> bool:
        if not self.is_running:
            raise self._failure("ended instead of answering")
        if not is_listening(self._ports.client):
            return False
        client = AdminClient({"bootstrap.servers": self.bootstrap_server, "log_level": 0}, logger=_silent)
        try:
            known = client.list_topics(timeout=_METADATA_WITHIN).brokers
        except KafkaException:
            return False
        return self.number + 1 in known and len(known) >= brokers

    def _wait_until(self, done: Callable[[], bool], within: float) -> bool:
        deadline = time.monotonic() + within
        while not done():
            if time.monotonic() > deadline:
                return False
            if self._abandoned.wait(_POLL):
                raise EmbeddedKafkaUnavailable("the start of the embedded Kafka was abandoned")
        return True

    def _failure(self, what: str) -> EmbeddedKafkaUnavailable:
        printed = last_lines(self._log)
        kind = PortTaken if "Address already in use" in printed else EmbeddedKafkaUnavailable
        return kind(f"Node {self.number} of the embedded Kafka {what}. Its last lines:\n{printed}")

"""`python -m ingress` as a process: how it starts, what it stores in a real Kafka, and how it stops."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.client import received
from broker.embedded import EmbeddedKafka
from schemas.errors import ConfigurationError
from schemas.record import ReceivedRecord, from_record
from tests.conftest import Cluster
from tests.ingress.conftest import BODY, read_answer, serve, signature, signed, until

_TENANTS = """\
allow_literals = true
[tenants.acme.sandbox]
client_id = "id"
api_key = "sandbox-key"
"""


class Process:
    """A running `python -m ingress`, its log as it comes, and a client for it."""

    def __init__(self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self._process = process
        self._session = session
        self.lines: list[bytes] = []
        self._reading = asyncio.create_task(self._read())
        self.port = 0

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line)

    def logged(self, event: str) -> list[dict[str, object]]:
        """Give the log lines of one kind."""
        lines = [orjson.loads(line) for line in self.lines if line.startswith(b"{")]
        return [line for line in lines if line["event"] == event]

    async def started(self) -> None:
        """Wait until it listens."""
        await until(lambda: bool(self.logged("ingress.started")) or self._reading.done(), 60)
        assert self.logged("ingress.started"), b"".join(self.lines)
        self.port = int(str(self.logged("ingress.started")[0]["port"]))

    async def post(self, body: bytes = BODY) -> tuple[int, dict[str, object]]:
        """Send a signed webhook."""
        url = f"http://127.0.0.1:{self.port}/webhooks/acme"
        async with self._session.post(url, data=body, headers=signed(body)) as response:
            return response.status, await response.json()

    async def ready(self) -> tuple[int, list[str]]:
        """Probe."""
        async with self._session.get(f"http://127.0.0.1:{self.port}/readyz") as response:
            return response.status, (await response.json())["reasons"]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end and give the exit status."""
        async with asyncio.timeout(40):
            await self._reading
            return await self._process.wait()


@asynccontextmanager
async def start(
    folder: Path, servers: str, topic: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Start a process, and make sure that it is gone afterwards."""
    (folder / "tenants.toml").write_text(_TENANTS)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FUSE_SYNC_")},
        "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS": servers,
        "FUSE_SYNC_TENANTS_FILE": str(folder / "tenants.toml"),
        "FUSE_SYNC_TOPIC": topic,
        "FUSE_SYNC_TOPIC_PARTITIONS": "2",
        "FUSE_SYNC_INGRESS_HOST": "127.0.0.1",
        "FUSE_SYNC_INGRESS_PORT": "0",
        **(settings or {}),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingress", env=environ, stderr=asyncio.subprocess.PIPE
    )
    async with aiohttp.ClientSession() as session:
        running = Process(process, session)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await running.ended()


async def test_accepted_webhooks_are_in_kafka_and_nothing_else_is(
    cluster: Cluster, topic_name: str, tmp_path: Path
) -> None:
    """Promises 1, 2 and 3 on the real thing: key, headers and bytes, for each id that was answered."""
    bodies = [b'{"environment":"sandbox","financial_connection_id":"c-%d","type":"t"}' % i for i in range(200)]
    scrambled = b' {"type":"t", "\\u0065nvironment":"sandbox","financial_connection_id":"\\ud800 /"}'
    async with start(tmp_path, cluster.bootstrap_servers, topic_name) as ingress:
        await ingress.started()
        answers = await asyncio.gather(*(ingress.post(body) for body in [*bodies, scrambled]))
        assert {status for status, _ in answers} == {200}
        ids = [str(answer["id"]) for _, answer in answers]
    stored = {from_record(record).id: record for record in _all(cluster, topic_name)}
    assert set(stored) == set(ids)
    assert [stored[each].value for each in ids] == [*bodies, scrambled]
    odd = stored[ids[-1]]
    headers = dict(odd.headers)
    assert odd.key == b"acme/%ED%A0%80%20/"
    assert (headers.pop("ce_time") or b"").endswith(b"Z")
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": ids[-1].encode(),
        "ce_source": b"/tenants/acme/sandbox",
        "ce_type": b"t",
        "ce_subject": b"%ED%A0%80%20/",
        "ce_tenant": b"acme",
        "ce_environment": b"sandbox",
        "ce_fuseverification": signature(scrambled).encode(),
        "content-type": b"application/json",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_finishes_what_was_accepted_and_refuses_what_is_new(
    cluster: Cluster, topic_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    """The body of one request is still on its way when the signal comes; it is stored and answered all the same."""
    async with start(tmp_path, cluster.bootstrap_servers, topic_name) as ingress:
        await ingress.started()
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        head = f"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
        writer.write(head.encode() + f"fuse-verification: {signature(BODY)}\r\n\r\n".encode() + BODY[:10])
        assert (await ingress.post())[0] == 200  # the other one is inside by now
        ingress.send(number)
        await _until_refused(ingress.port)
        writer.write(BODY[10:])
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert await ingress.ended() == 0
    assert len(_all(cluster, topic_name)) == 2
    assert ingress.logged("ingress.stopped")


async def test_a_stop_is_over_in_time_whoever_dawdles(cluster: Cluster, topic_name: str, tmp_path: Path) -> None:
    """A sender that never finishes its body cannot keep the process."""
    settings = {"FUSE_SYNC_INGRESS_STOP_SECONDS": "1"}
    async with start(tmp_path, cluster.bootstrap_servers, topic_name, settings) as ingress:
        await ingress.started()
        _, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        writer.write(b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nfuse-verification: x\r\n\r\n")
        await ingress.post()
        began = time.monotonic()
        ingress.send(signal.SIGTERM)
        assert await ingress.ended() == 0
        assert time.monotonic() - began < 8
        writer.close()


@pytest.mark.usefixtures("embeddable")
async def test_while_kafka_is_away_the_answer_is_503_and_afterwards_200_again(topic_name: str, tmp_path: Path) -> None:
    """Within the deadline, with the probe saying so; and without a restart."""
    settings = {"FUSE_SYNC_INGRESS_ACKNOWLEDGE_SECONDS": "2"}
    async with EmbeddedKafka() as kafka, start(tmp_path, kafka.bootstrap_servers, topic_name, settings) as ingress:
        await ingress.started()
        assert (await ingress.post())[0] == 200
        assert await ingress.ready() == (200, [])
        await kafka.stop_node(0, graceful=False)
        began = time.monotonic()
        assert {status for status, _ in await asyncio.gather(*(ingress.post() for _ in range(20)))} == {503}
        assert time.monotonic() - began < 2 + 2  # librdkafka looks for what is overdue once a second
        status, reasons = await ingress.ready()
        assert (status, len(reasons)) == (503, 1)
        await kafka.start_node(0)
        await _until_stored(ingress)
        assert await ingress.ready() == (200, [])
        assert len(ingress.logged("webhook.delayed")) >= 20
        ingress.send(signal.SIGTERM)
        assert await ingress.ended() == 0


async def test_bad_settings_are_reported_all_together_and_stop_the_start(tmp_path: Path) -> None:
    """One sentence a line, exit status 2."""
    settings = {"FUSE_SYNC_INGRESS_PORT": "eighty", "FUSE_SYNC_MAX_BODY_BYTES": "1", "FUSE_SYNC_INGRES_HOST": "x"}
    async with start(tmp_path, "127.0.0.1:1", "t", settings) as ingress:
        assert await ingress.ended() == 2
    assert [line.split(b":")[0] for line in sorted(ingress.lines)] == [
        b"FUSE_SYNC_INGRESS_PORT",
        b"FUSE_SYNC_INGRES_HOST",
        b"FUSE_SYNC_MAX_BODY_BYTES",
    ]


async def test_bad_tenants_stop_the_start(tmp_path: Path) -> None:
    """The sentences are those of the tenants file."""
    async with start(tmp_path, "127.0.0.1:1", "t", {"FUSE_SYNC_TENANTS_FILE": str(tmp_path / "nowhere")}) as ingress:
        assert await ingress.ended() == 2
    (line,) = ingress.lines
    assert b"nowhere" in line


async def test_an_address_that_is_taken_stops_the_start(cluster: Cluster, topic_name: str, tmp_path: Path) -> None:
    """The sentence names the settings to change."""
    async with start(tmp_path, cluster.bootstrap_servers, topic_name) as first:
        await first.started()
        settings = {"FUSE_SYNC_INGRESS_PORT": str(first.port)}
        async with start(tmp_path, cluster.bootstrap_servers, topic_name, settings) as second:
            assert await second.ended() == 2
    assert b"FUSE_SYNC_INGRESS_PORT" in second.lines[-1]


async def test_a_port_cannot_be_shared_where_the_system_does_not_let_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that names the setting, and not the error of a library."""
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ConfigurationError, match="FUSE_SYNC_INGRESS_REUSE_PORT"):
        async with serve(settings={"ingress_reuse_port": True}):
            pass


async def test_two_processes_share_a_port_and_one_stops_without_harm_to_the_connections_of_the_other(
    cluster: Cluster, topic_name: str, tmp_path: Path
) -> None:
    """One process per core, and a restart of one after the other."""
    settings = {"FUSE_SYNC_INGRESS_REUSE_PORT": "true", "FUSE_SYNC_LOG_LEVEL": "debug"}
    async with start(tmp_path, cluster.bootstrap_servers, topic_name, settings) as first:
        await first.started()
        settings["FUSE_SYNC_INGRESS_PORT"] = str(first.port)
        async with (
            start(tmp_path, cluster.bootstrap_servers, topic_name, settings) as second,
            AsyncExitStack() as opened,
        ):
            await second.started()
            connections = [await opened.enter_async_context(connection(first.port)) for _ in range(64)]
            by_id = {await each.post(): each for each in connections}
            await until(lambda: len(_accepted(first) | _accepted(second)) == 64)
            assert _accepted(first)  # each has its share: that it is none at all has a chance of one in 2 ** 63
            assert _accepted(second)
            stay = [by_id[each] for each in _accepted(second)]
            first.send(signal.SIGTERM)
            ending = asyncio.create_task(first.ended())
            while not ending.done():
                assert all(await asyncio.gather(*(each.post() for each in stay)))
            assert ending.result() == 0
            async with connection(first.port) as new:
                assert await new.post()


class Connection:
    """One connection, which nothing opens anew when it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self) -> str:
        """Send a webhook and give the id that the answer says; empty if there is no answer, or another one."""
        head = f"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
        self._writer.write(f"{head}fuse-verification: {signature(BODY)}\r\n\r\n".encode() + BODY)
        answer = await read_answer(self._reader)
        if not answer.startswith(b"HTTP/1.1 200"):
            return ""
        return str(orjson.loads(answer.partition(b"\r\n\r\n")[2])["id"])


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Connection]:
    """Open a connection, and close it at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Connection(reader, writer)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def _accepted(ingress: Process) -> set[str]:
    return {str(line["id"]) for line in ingress.logged("webhook.accepted")}


async def _until_refused(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # it came in while the socket closed
                continue
            writer.close()


async def _until_stored(ingress: Process) -> None:
    async with asyncio.timeout(30):
        while (await ingress.post())[0] != 200:
            pass


def _all(cluster: Cluster, topic: str) -> list[ReceivedRecord]:
    """Read a topic of two partitions from its beginning to its end."""
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap_servers, "group.id": topic, "enable.auto.commit": False}
    )
    records: list[ReceivedRecord] = []
    for number in range(2):
        place = TopicPartition(topic, number, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([place])
        wanted = len(records) + end
        while len(records) < wanted:
            records += [received(message) for message in consumer.consume(end, timeout=10)]
    consumer.close()
    return records


@pytest.mark.parametrize("poll", ["0", "0.2"])
async def test_a_new_key_is_accepted_after_a_signal_or_a_change_of_the_file(
    cluster: Cluster, topic_name: str, tmp_path: Path, poll: str
) -> None:
    """Without a restart; a file with a fault in between is refused and changes nothing."""
    settings = {"FUSE_SYNC_TENANTS_POLL_SECONDS": poll}
    async with start(tmp_path, cluster.bootstrap_servers, topic_name, settings) as ingress:
        await ingress.started()
        file = tmp_path / "tenants.toml"
        for content, logged, status in (
            (_TENANTS.replace("sandbox-key", "another-key"), "tenants.loaded", 403),
            ("[broken", "tenants.refused", 403),
            (_TENANTS, "tenants.loaded", 200),
        ):
            before = len(ingress.logged(logged))
            file.write_text(content)
            if poll == "0":
                ingress.send(signal.SIGHUP)
            await until(partial(_logged_more, ingress, logged, before), 30)
            assert (await ingress.post())[0] == status


def _logged_more(ingress: Process, event: str, than: int) -> bool:
    return len(ingress.logged(event)) > than

"""What the ingress's tests share: the real routes on a real socket, in front of a log that only remembers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from ingress.gate import Gate
from ingress.readiness import Readiness
from ingress.receive import Receiver
from ingress.routes import Routes
from ingress.server import listening
from schemas.canonical import read_body
from schemas.event import Environment, Event
from schemas.record import ReceivedRecord, Record, from_record
from schemas.settings import IngressSettings
from schemas.tenants import Account, Tenant, Tenants
from schemas.verification import sign

KEYS = {Environment.SANDBOX: SecretStr("sandbox-key"), Environment.PRODUCTION: SecretStr("production-key")}
OLD_KEY = SecretStr("old-production-key")
BODY = b'{"environment":"sandbox","financial_connection_id":"c-1","source":"plaid","type":"t"}'


def tenants(*, limit: float | None = None, burst: int | None = None) -> Tenants:
    """Give two tenants with the same keys; the second has the sandbox only, and the given ingest limit."""
    sandbox, production = KEYS[Environment.SANDBOX], KEYS[Environment.PRODUCTION]
    accounts = {
        Environment.SANDBOX: Account(client_id=SecretStr("id"), api_key=sandbox),
        Environment.PRODUCTION: Account(client_id=SecretStr("id"), api_key=production, accepted_keys=(OLD_KEY,)),
    }
    only_sandbox = {Environment.SANDBOX: accounts[Environment.SANDBOX]}
    return Tenants(
        {
            "acme": Tenant(name="acme", accounts=accounts),
            "small": Tenant(name="small", accounts=only_sandbox, ingest_limit=limit, ingest_burst=burst),
        }
    )


def signature(body: bytes, key: SecretStr = KEYS[Environment.SANDBOX]) -> str:
    """Sign a body as Fuse does."""
    return sign(read_body(body).canonical(), key).decode()


def signed(body: bytes, **more: str) -> dict[str, str]:
    """Give the headers of a webhook that Fuse would send."""
    return {"Content-Type": "application/json", "fuse-verification": signature(body), **more}


class MemoryLog:
    """Remembers what is published; acknowledges at once, unless told to wait or to fail."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.raised: Exception | None = None
        self.held: list[asyncio.Future[object]] | None = None
        self.faults_found: Sequence[str] = ()
        self.looks = 0

    def publish(self, topic: str, record: Record) -> asyncio.Future[object]:
        """Take a record."""
        assert topic == "fuse.webhooks"
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.raised is not None:
            raise self.raised
        self.records.append(record)
        if self.held is None:
            acknowledged.set_result(None)
        else:
            self.held.append(acknowledged)
        return acknowledged

    async def faults(self, topic: str, within: float) -> Sequence[str]:
        """Count the looks."""
        assert (topic, within > 0) == ("fuse.webhooks", True)
        self.looks += 1
        return self.faults_found

    @property
    def events(self) -> list[Event]:
        """What a consumer would read."""
        return [
            from_record(
                ReceivedRecord(partition=0, offset=i, timestamp=0, key=each.key, value=each.value, headers=each.headers)
            )
            for i, each in enumerate(self.records)
        ]


class Answer:
    """An answer as it came: status, headers and the JSON of its body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.json: Any = orjson.loads(body) if body else None


class Ingress:
    """A running ingress, and a client for it."""

    def __init__(self, port: int, log: MemoryLog, gate: Gate, session: aiohttp.ClientSession) -> None:
        self.port = port
        self.log = log
        self.gate = gate
        self.url = f"http://127.0.0.1:{port}"
        self._session = session

    async def request(self, method: str, path: str, **options: object) -> Answer:
        """Make a request and read its answer."""
        async with self._session.request(method, self.url + path, **options) as response:  # type: ignore[arg-type] # passed on
            return Answer(response.status, response.headers, await response.read())

    async def post(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, tenant: str = "acme", **options: object
    ) -> Answer:
        """Send a webhook, signed unless other headers are given."""
        headers = signed(body) if headers is None else headers
        skip = ["Content-Type", "Content-Encoding"]
        return await self.request(
            "POST", f"/webhooks/{tenant}", data=body, headers=headers, skip_auto_headers=skip, **options
        )


def ingress_settings(**chosen: object) -> IngressSettings:
    """Give settings for a free port on this machine."""
    return IngressSettings(
        kafka_bootstrap_servers="unused:1",
        tenants_file=Path("unused"),
        ingress_host="127.0.0.1",
        ingress_port=0,
        **chosen,  # type: ignore[arg-type] # validated by pydantic
    )


@asynccontextmanager
async def serve(
    known: Tenants | None = None,
    clock: Callable[[], float] = time.monotonic,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> AsyncIterator[Ingress]:
    """Run the routes on a free port in front of a MemoryLog."""
    chosen = ingress_settings(**settings)
    known = tenants() if known is None else known
    log, gate = MemoryLog(), Gate(chosen.ingress_max_concurrent)
    receiver = Receiver(chosen, known, log, clock=clock)
    readiness = Readiness(log, chosen.topic, gate, clock)
    routes = Routes(receiver, readiness, gate, tenants=known, retry_after=chosen.ingress_retry_after_seconds)
    async with listening(routes, gate, chosen) as port, aiohttp.ClientSession() as session:
        yield Ingress(port, log, gate, session)


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    """Give an ingress as it runs without any settings of ours."""
    async with serve() as running:
        yield running


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def raw_exchange(port: int, request: bytes, *, answers: int = 1) -> list[bytes]:
    """Send bytes as they are, and give as many answers as are asked for, status line and all; fewer if it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < answers and (answer := await read_answer(reader)):
            found.append(answer)
    writer.close()
    await writer.wait_closed()
    return found


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Give one answer, status line and all; nothing if the connection ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return head + await reader.readexactly(int(length.partition(b":")[2]))

"""Secrets of a tenants file, each of them a canary: found nowhere but in the requests (promise 10)."""

import asyncio
import base64
import io
import logging
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import orjson
import pytest
import structlog
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from broker.publisher import Position
from consumer.handler import Context
from consumer.handlers.fuse_request import sync_request
from consumer.handlers.http_client import Answered, Post
from consumer.handlers.relay import Relay
from consumer.handlers.relay_request import relay_request
from consumer.handlers.sync import Sync
from consumer.page import Page
from schemas.aggregators import AGGREGATORS
from schemas.errors import ConfigurationError
from schemas.event import Environment, Event
from schemas.live_tenants import LiveTenants
from schemas.outcome import HandlerResult
from schemas.record import Record
from schemas.telemetry import configure_logging
from tests.consumer.fakes import event, settings, until
from tests.consumer.stage import Stage, play, stage

QUICK: dict[str, Any] = {"retry_attempts": 2, "parked_attempts": 1, "parked_initial_seconds": 1}
FUSE, RECEIVER = "http://fuse", "http://receiver"
_PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"


class Canaries:
    """Make up a secret for each place, and look for all of them, and for what is made of them."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def new(self) -> str:
        """Make up a secret."""
        self.values.append(f"canary-{len(self.values):03}-" + "x" * 16)
        return self.values[-1]

    def new_pem(self) -> str:
        """Make up a secret that is sent in base64; its text in clear is a canary too."""
        pem = _PEM.format(self.new())
        self.values.append(base64.b64encode(pem.encode()).decode())
        return self.values[-1]

    def new_signing_secret(self) -> str:
        """Make up a secret that is given in base64."""
        self.values.append("whsec_" + base64.b64encode(self.new().encode()).decode())
        return self.values[-1]

    def found_in(self, *texts: object) -> list[str]:
        """List the secrets that are in one of these texts."""
        together = "\n".join(map(str, texts))
        return [value for value in self.values if value.removeprefix("whsec_") in together]


def account(canaries: Canaries) -> dict[str, Any]:
    """Give an account in which every field that may hold a secret does."""
    aggregators = {
        name: {each.field: canaries.new_pem() if each.pem else canaries.new() for each in credentials}
        for name, credentials in AGGREGATORS.items()
    }
    return {
        "client_id": canaries.new(),
        "api_key": canaries.new(),
        "accepted_keys": [canaries.new(), canaries.new()],
        "headers": {"X-Extra": canaries.new()},
        **aggregators,
    }


def write_tenants(path: Path, canaries: Canaries, tenants: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a tenants file with literals; JSON's strings and arrays are TOML's as well."""
    lines = ["allow_literals = true"]
    for tenant, tables in tenants.items():
        for name, table in tables.items():
            lines += _table(f"tenants.{tenant}.{name}", table)
    path.write_text("\n".join(lines))
    assert len(set(canaries.values)) == len(canaries.values)


def _table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{name}]"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{key} = {orjson.dumps(value).decode()}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _table(f"{name}.{key}", value)


@dataclass(slots=True)
class Telltale:
    """An HTTP client whose answers and errors quote all that was sent, headers first; `sent` has every request."""

    status: int = 0
    sent: list[str] = field(default_factory=list)

    async def post(self, post: Post) -> Answered:
        """Answer with `status` and a body that quotes the request; 0 raises an error that does so."""
        quoted = f"{post.url} {dict(post.headers)} {post.body!r}"
        self.sent.append(quoted)
        await asyncio.sleep(0)
        if not self.status:
            headers = CIMultiDict(post.headers)
            info = aiohttp.RequestInfo(URL(post.url), "POST", CIMultiDictProxy(headers), URL(post.url))
            raise aiohttp.ClientResponseError(info, (), message=quoted, headers=headers)
        said = {"type": quoted, "code": post.headers.get("Fuse-Api-Key", ""), "message": quoted}
        return Answered(status=self.status, retry_after=quoted, body=orjson.dumps(said))


@dataclass(slots=True, kw_only=True)
class Scene:
    """The canaries, and all that has to do with them."""

    canaries: Canaries
    path: Path
    tenants: LiveTenants
    client: Telltale
    sync: Sync
    relay: Relay


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Load tenants full of canaries: one for Fuse, and one that is relayed."""
    canaries, client, path = Canaries(), Telltale(), tmp_path / "tenants.toml"
    relay = {
        "url": RECEIVER,
        "secret": canaries.new_signing_secret(),
        "previous_secrets": [canaries.new_signing_secret()],
    }
    write_tenants(
        path,
        canaries,
        {
            "acme": {"sandbox": account(canaries), "production": account(canaries)},
            "blue": {"sandbox": account(canaries), "relay": relay},
        },
    )
    tenants = LiveTenants(path, {})
    posts: Any = client
    urls = dict.fromkeys(Environment, FUSE)
    return Scene(
        canaries=canaries,
        path=path,
        tenants=tenants,
        client=client,
        sync=Sync(client=posts, tenants=tenants, base_urls=urls),
        relay=Relay(client=posts, tenants=tenants),
    )


@pytest.fixture(params=["json", "console"])
def logs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Log as a process does, with tracebacks, and leave logging to other tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("debug", request.param)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def _handle(scene: Scene, each: Event) -> HandlerResult:
    handler = scene.relay if each.tenant == "blue" else scene.sync
    return await handler(each, Context(idempotency_key=each.idempotency_key, attempt=1))


def deliver(on: Stage, scene: Scene) -> None:
    """Let the member handle an event of each tenant, as often as it likes."""
    events = [event(0, tenant="acme"), event(1, tenant="blue")]
    for each in events:
        on.handler.scripts[each.id] += [partial(_handle, scene, each)] * 9
    on.deliver(*events)


async def pages_of(on: Stage) -> list[object]:
    """Read all that the member's page shows of these events."""
    view = on.member.view()
    page = Page()
    page.show(view)
    shown = [await page._state(mock.Mock())]  # noqa: SLF001 - as a request would have it
    for tenant in ("acme", "blue"):
        request = mock.Mock(match_info={"tenant": tenant, "connection": "one"})
        shown.append(await page._lane(request))  # noqa: SLF001 - likewise
    return [answer.body for answer in shown] + [repr(view)]


@asynccontextmanager
async def all_written(on: Stage) -> AsyncIterator[list[object]]:
    """Note every record that the member writes."""
    written: list[object] = []
    publish = on.publisher.publish

    def note(topic: str, record: Record, *, partition: int = -1) -> asyncio.Future[Position]:
        written.append((record.key, record.value, record.headers))
        return publish(topic, record, partition=partition)

    with mock.patch.object(on.publisher, "publish", note):
        yield written


@pytest.mark.parametrize("status", [0, 302, 400, 401, 404, 418, 429, 500, 503])
def test_no_secret_leaves_but_in_the_request(scene: Scene, logs: io.StringIO, status: int) -> None:
    """Whatever the answer quotes: not in logs, outcomes, parks, dead letters, nor on the page."""
    shown: list[object] = []

    async def story() -> None:
        async with stage(tenants=2, **QUICK) as on, all_written(on) as written:
            await on.take(0)
            scene.client.status = status
            deliver(on, scene)
            await until(lambda: len(on.log.parks()) + len(on.log.ended()) >= 2)
            await asyncio.sleep(20)
            assert written
            shown.extend([*await pages_of(on), *written, on.member.alarms.active])

    play(story())
    assert scene.canaries.found_in(*scene.client.sent), "or this test would look for nothing"
    assert "event.failed" in logs.getvalue()
    assert scene.canaries.found_in(*shown, logs.getvalue()) == []


def test_what_holds_secrets_does_not_show_them(scene: Scene) -> None:
    """Any of these may end up in a traceback or a log line."""
    blue = event(1, tenant="blue")
    target = scene.tenants["blue"].relay
    assert target is not None
    accounts = [account for tenant in scene.tenants.values() for account in tenant.accounts.values()]
    secret = SecretStr(scene.canaries.new_signing_secret())
    shown = (
        *(scene.tenants, *scene.tenants.values(), *accounts, target),
        *(tenant.signing_keys(None) for tenant in scene.tenants.values()),
        *(scene.sync, scene.relay, settings(relay_url=RECEIVER, relay_secret=secret)),
        *(sync_request(event(0), account, FUSE) for account in accounts),
        relay_request(blue, target, blue.idempotency_key, 1),
    )
    assert scene.canaries.found_in(*map(repr, shown)) == []
    assert scene.canaries.found_in(*shown) == []


def test_a_tenants_file_with_faults_is_told_of_without_what_is_in_it(scene: Scene, logs: io.StringIO) -> None:
    """A person reads the log to mend the file, and so do others."""
    good, told = scene.path.read_text(), list[object]()
    for line in filter(lambda line: " = " in line, good.splitlines()):
        for bad in _broken(*line.split(" = ", 1)):
            scene.path.write_text(good.replace(line, bad, 1))
            try:
                LiveTenants(scene.path, {})
            except ConfigurationError as error:
                told += [error, error.faults, repr(error)]
    assert len(told) > len(scene.canaries.values)
    scene.path.write_text(good.replace('"canary-', "canary-"))
    asyncio.run(scene.tenants.reload())
    assert "tenants.refused" in logs.getvalue()
    assert scene.canaries.found_in(*told, logs.getvalue()) == []


def _broken(name: str, value: str) -> Iterator[str]:
    yield from (f"{name} {value}", f"{name}x = {value}", f"{name} = {value[:-1]}", f"{name} = 7{value}")


def test_a_member_that_fails_tells_no_secret(scene: Scene, logs: io.StringIO) -> None:
    """Its traceback runs through all who hold them."""

    async def story() -> None:
        await _handle(scene, event(0))

    try:
        asyncio.run(story())
    except Exception as failure:  # noqa: BLE001 - as a member hears of it
        structlog.get_logger().error("member.failed", error=repr(failure), exc_info=failure)
    assert "Traceback" in logs.getvalue()
    assert scene.canaries.found_in(logs.getvalue()) == []

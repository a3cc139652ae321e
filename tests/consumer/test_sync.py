"""The handler `sync` over real HTTP on loopback: every answer, and every way to give none."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from consumer.calls import Calls
from consumer.engine.lanes import Waiting
from consumer.engine.retry import Backoff, LaneBudget
from consumer.handler import Context
from consumer.handlers.http_client import open_client
from consumer.handlers.sync import Sync
from consumer.handling import Wait
from schemas.errors import DestinationDown, Misconfigured, Permanent, Retryable
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.telemetry import LogEvent
from schemas.tenants import Account, Tenant, Tenants
from schemas.webhook import WebhookType
from tests.consumer.fake_fuse import WITHIN, FakeFuse, answer, fuse, header
from tests.consumer.fakes import Patience, event, settings

SECRETS = ("k3y-of-acme", "cl13nt-of-acme", "pl41d-s3cr3t", "c2lnbmF0dXJl", "b0dy-t3xt")
CONTEXT = Context(idempotency_key="event-0:0", attempt=1)


def account(base_url: str | None = None, key: str = SECRETS[0]) -> Account:
    """Give a tenant's keys."""
    return Account(
        client_id=SecretStr(SECRETS[1]),
        api_key=SecretStr(key),
        base_url=base_url,
        credentials={"Plaid-Secret": SecretStr(SECRETS[2])},
    )


def tenants(**accounts: Account) -> Tenants:
    """Give the tenant acme with these accounts, by environment."""
    by_environment = {Environment(name): each for name, each in accounts.items()}
    return Tenants({"acme": Tenant(name="acme", accounts=by_environment)})


@asynccontextmanager
async def sync_with(
    base_url: str, known: Tenants | None = None, production: str = "http://127.0.0.1:1", *, seconds: float = 10
) -> AsyncIterator[Sync]:
    """Open the handler as the process does."""
    async with open_client(settings(call_timeout_seconds=seconds)) as client:
        urls = {Environment.SANDBOX: base_url, Environment.PRODUCTION: production}
        yield Sync(client=client, tenants=known or tenants(sandbox=account()), base_urls=urls)


async def call(answered: Callable[[asyncio.StreamWriter], object] | bytes, *, seconds: float = 10) -> HandlerResult:
    """Make one call to a Fuse that answers so."""
    async with fuse(FakeFuse(answered)) as upstream, sync_with(upstream.url, seconds=seconds) as sync:
        return await sync(event(body=SECRETS[4].encode()), CONTEXT)


async def refusal(
    answered: Callable[[asyncio.StreamWriter], object] | bytes, *, seconds: float = 10
) -> Retryable | Permanent:
    """Make one call that fails."""
    with pytest.raises((Retryable, Permanent)) as raised:
        await call(answered, seconds=seconds)
    shown = f"{raised.value!r} {raised.value.__cause__!r}"
    assert not [secret for secret in SECRETS if secret in shown]
    assert isinstance(raised.value, Retryable | Permanent)
    return raised.value


@pytest.mark.parametrize("kind", [*sorted(set(WebhookType) - {WebhookType.SYNC_DATA}), "something.new", ""])
async def test_other_events_than_sync_data_are_ignored_without_a_call(kind: str) -> None:
    """Not even their tenant has to be known."""
    async with fuse() as upstream, sync_with(upstream.url, Tenants({})) as sync:
        assert await sync(event(type=kind), CONTEXT) == Ignored(reason="type_not_synced")
    assert not upstream.heads


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_success_is_applied_with_its_status(status: int) -> None:
    """The whole class of it."""
    assert await call(answer(status, body=b"" if status == 204 else b"{}")) == Applied(status=status)


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>", b"\xff" * 70_000])
async def test_success_that_is_not_json_is_applied_and_counted(body: bytes) -> None:
    """One line for all of them."""
    async with fuse(FakeFuse(answer(200, body=body))) as upstream, sync_with(upstream.url) as sync:
        with capture_logs() as logs:
            assert [await sync(event(), CONTEXT) for _ in range(3)] == [Applied(status=200)] * 3
        assert [line["event"] for line in logs] == [LogEvent.ANSWER_ODD]
        assert sync.odd.count == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Retryable) for status in (300, 304, 408, 425, 429)),
        *((status, Permanent) for status in (400, 404, 409, 413, 418, 422)),
        *((status, Misconfigured) for status in (401, 403)),
        *((status, DestinationDown) for status in (500, 502, 503, 504, 599)),
    ],
)
async def test_everything_else_fails_as_the_table_says(status: int, kind: type[Exception]) -> None:
    """Whatever the body is; the table itself is tested beside it."""
    error = await refusal(answer(status, body=b"" if status == 304 else b"{}"))
    assert type(error) is kind
    assert str(error).startswith(f"answered {status}: ")
    assert error.status == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The keys go to the configured address and nowhere else (promise 10)."""
    async with fuse() as elsewhere:
        error = await refusal(answer(status, {"Location": f"{elsewhere.url}/x"}))
        assert str(error).startswith(f"answered {status}: ")
        assert not elsewhere.heads


async def test_a_time_out_is_tried_again() -> None:
    """A Fuse that takes the request and says nothing holds a lane for no longer than the settings say."""
    error = await refusal(lambda _: None, seconds=0.1)
    assert "Timeout" in str(error)


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    """The time-out is one for the whole call, and not for each piece of the answer."""
    dripping: set[asyncio.Task[None]] = set()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Some: ")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    error = await refusal(lambda writer: dripping.add(asyncio.create_task(drip(writer))), seconds=0.2)
    assert "Timeout" in str(error)
    for task in dripping:
        task.cancel()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _break_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    writer.close()


def _answer_nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp ready, " + SECRETS[0].encode() + b"\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("trouble", [_reset, _break_off, _answer_nonsense])
async def test_a_broken_connection_is_tried_again(trouble: Callable[[asyncio.StreamWriter], None]) -> None:
    """Reset, broken off or not HTTP at all; the text of the error quotes nothing of it."""
    assert str(await refusal(trouble)).startswith("the call failed: ")


async def test_a_fuse_that_is_not_there_is_tried_again() -> None:
    """Refused connections come at once, and often."""
    async with fuse() as upstream:
        pass
    async with sync_with(upstream.url) as sync:
        with pytest.raises(DestinationDown, match="the call failed: ClientConnectorError"):
            await sync(event(), CONTEXT)


async def test_retry_after_comes_with_the_error() -> None:
    """In seconds, on whatever status it stands."""

    async def told(status: int, headers: Mapping[str, str]) -> float | None:
        error = await refusal(answer(status, headers))
        assert isinstance(error, Retryable)
        return error.retry_after

    assert await told(429, {"Retry-After": "120"}) == 120
    assert await told(503, {"retry-after": " 7 "}) == 7
    assert await told(302, {"Retry-After": "3", "Location": "/x"}) == 3
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    retry_after = await told(500, {"Retry-After": when})
    assert retry_after is not None
    assert 590 < retry_after < 601
    assert await told(500, {"Retry-After": "soon"}) is None


async def test_the_base_url_is_that_of_the_events_environment_unless_the_account_has_its_own() -> None:
    """With the keys of that environment."""
    own = account(key="own")
    async with fuse() as sandbox, fuse() as production, fuse() as staging:
        known = tenants(sandbox=account(), production=own)
        async with sync_with(sandbox.url, known, production.url) as sync:
            await sync(event(), CONTEXT)
            await sync(event(environment=Environment.PRODUCTION), CONTEXT)
        async with sync_with(sandbox.url, tenants(sandbox=account(f"{staging.url}/fuse", key="staged"))) as sync:
            await sync(event(), CONTEXT)
    told = [
        [(head.split()[1], header(head, "fuse-api-key")) for head in each.heads]
        for each in (sandbox, production, staging)
    ]
    path = "/v1/financial_connections/sync"
    assert told == [[(path, SECRETS[0])], [(path, "own")], [(f"/fuse{path}", "staged")]]


@pytest.mark.parametrize(
    "unknown", [event(tenant="blue"), event(environment=Environment.PRODUCTION)], ids=["tenant", "environment"]
)
async def test_an_event_without_an_account_waits_for_a_person(unknown: Event) -> None:
    """Who is told which table is missing; no call is made, with nobody else's keys either.

    Not for ever, but not a dead letter at once either: the tenants file can be mended while the event is parked.
    """
    async with fuse() as upstream, sync_with(upstream.url, production=upstream.url) as sync:
        with pytest.raises(Misconfigured, match=f"tenant {unknown.tenant} has no {unknown.environment} account: add"):
            await sync(unknown, CONTEXT)
    assert not upstream.heads


async def test_no_cookie_is_kept() -> None:
    """What Fuse sets for one tenant does not travel with another's keys."""
    setting = FakeFuse(answer(200, {"Set-Cookie": "session=1; Path=/"}))
    # By name: nobody keeps the cookies of a bare address.
    async with fuse(setting) as upstream, sync_with(upstream.url.replace("127.0.0.1", "localhost")) as sync:
        await sync(event(), CONTEXT)
        await sync(event(), CONTEXT)
    assert len(upstream.heads) == 2
    assert [header(head, "cookie") for head in upstream.heads] == [None, None]


def _at_once(writer: asyncio.StreamWriter) -> None:
    writer.write(answer(200))


def _in_pieces(writer: asyncio.StreamWriter) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", b"1\r\n}\r\n", b"0\r\n\r\n"]
    for number, piece in enumerate(pieces):
        asyncio.get_running_loop().call_later(number / 100, writer.write, piece)


@pytest.mark.parametrize("answered", [_at_once, _in_pieces])
async def test_connections_are_used_again(answered: Callable[[asyncio.StreamWriter], None]) -> None:
    """A handshake for each call would cost more than the call; also if the answer comes piece by piece."""
    async with fuse(FakeFuse(answered)) as upstream, sync_with(upstream.url) as sync:
        for _ in range(5):
            await sync(event(), CONTEXT)
    assert len(upstream.heads) == 5
    assert upstream.connections == 1


async def test_of_a_big_answer_only_the_beginning_is_read() -> None:
    """A gigabyte is announced, and not waited for (promise 9): its connection goes with it."""
    endless = FakeFuse(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000)
    async with fuse(endless) as upstream, sync_with(upstream.url) as sync:
        assert [await sync(event(), CONTEXT) for _ in range(2)] == [Applied(status=200)] * 2
    assert upstream.connections == 2


async def test_a_compressed_answer_is_understood() -> None:
    """The client offers encodings, so it must live with them."""
    body = gzip.compress(b'{"message": "synced"}' * 100)
    assert await call(answer(200, {"Content-Encoding": "gzip"}, body)) == Applied(status=200)


async def test_no_secret_is_in_any_log_line_about_a_failed_call() -> None:
    """Neither the keys, nor the signature, nor the body, nor what Fuse says about them (promise 10)."""
    echo = answer(502, {"WWW-Authenticate": SECRETS[0]}, " ".join(SECRETS).encode())
    answers = [echo, answer(500, {"Retry-After": SECRETS[1]}), answer(200)]

    def answer_next(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    async def no_wait(_: Wait) -> None:
        """Wait for nothing."""

    with capture_logs() as logs:
        async with fuse(FakeFuse(answer_next)) as upstream, sync_with(upstream.url) as sync:
            calls = Calls(handler=sync, budget=LaneBudget(backoff=Backoff(initial=1, most=1), attempts=3, seconds=60))
            secret = event(body=SECRETS[4].encode())
            waiting = Waiting(offset=0, lane=b"acme/one", size=1, event=secret)
            await calls.handle(calls.handling(waiting, None, Patience(apart=no_wait)))
    assert [line["error"].partition(":")[0] for line in logs] == ["answered 502", "answered 500"]
    assert not [secret for secret in SECRETS if secret in str(logs)]


async def test_a_call_that_is_cancelled_ends_at_once() -> None:
    """So that a partition can be let go while Fuse hangs."""
    async with fuse(FakeFuse(lambda _: None)) as upstream, sync_with(upstream.url) as sync:
        running = asyncio.create_task(sync(event(), CONTEXT))
        async with asyncio.timeout(WITHIN):
            while not upstream.heads:  # noqa: ASYNC110 - what is waited for happens on a socket
                await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

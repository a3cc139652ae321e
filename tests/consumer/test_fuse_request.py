"""The sync call against a recording of what fuse-node 2.0.3 sends.

`fuse_node_calls.json` was recorded with `capture_fuse_node.mjs`, which says how. The client knows no aggregator's
headers itself (they are given to it as its README shows), so that their names agree is shown by its error codes
here and by another client's declarations in tests/schemas/test_aggregators.py; that values, added headers, path and
body agree is shown by the recording. `Teller-Token-Signing-Key` has no error code.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from consumer.handlers.fuse_request import sync_request
from consumer.handlers.http_client import Post
from schemas.aggregators import AGGREGATORS
from schemas.event import Environment, Event
from schemas.tenants import Account, load_tenants

RECORDED: Mapping[str, Any] = json.loads((Path(__file__).parent / "fuse_node_calls.json").read_text())
BODY = base64.b64decode(RECORDED["body"])
BASE_URL = "https://sandbox-api.letsfuse.com"
TRANSPORT = {"host", "connection", "content-length", "user-agent", "accept-encoding"}
EVENT = Event(
    id="0193575e-8d4c-7b6e-9f00-0123456789ab",
    tenant="acme",
    environment=Environment.SANDBOX,
    type="financial_connection.sync_data",
    connection="c-1",
    aggregator="mx",
    received_at=datetime(2024, 11, 24, tzinfo=UTC),
    verification=RECORDED["verification"],
    body=BODY,
)
OURS = {"idempotency-key": f"{EVENT.id}:0"}


def _account(folder: Path, names: list[str]) -> Account:
    """Load an account through the tenants file, PEM files included, with all credentials of these aggregators."""
    lines = ["allow_literals = true", "[tenants.acme.sandbox]", 'client_id = "fake client id"']
    lines.append('api_key = "fake api key"')
    for name in names:
        lines.append(f"[tenants.acme.sandbox.{name}]")
        for credential in AGGREGATORS[name]:
            value = f"fake {credential.header.lower()}"
            if credential.header in RECORDED["pems"]:
                value = f"file:{credential.field}.pem"
                (folder / f"{credential.field}.pem").write_text(RECORDED["pems"][credential.header])
            lines.append(f'{credential.field} = "{value}"')
    (folder / "tenants.toml").write_text("\n".join(lines))
    return load_tenants(folder / "tenants.toml", {})["acme"].accounts[Environment.SANDBOX]


def _plain_account(**changes: Any) -> Account:  # noqa: ANN401 - any field of Account
    return Account(**{"client_id": SecretStr("id"), "api_key": SecretStr("key")} | changes)


def _comparable(headers: Mapping[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items() if name.lower() not in TRANSPORT}
    assert len(lowered) == len([name for name in headers if name.lower() not in TRANSPORT])
    return lowered


@pytest.mark.parametrize("name", [*AGGREGATORS, "all"])
async def test_the_call_on_the_wire_is_that_of_the_node_client(tmp_path: Path, name: str) -> None:
    """Names but for their case, values, path and body: each aggregator alone, and all at once."""
    account = _account(tmp_path, list(AGGREGATORS) if name == "all" else [name])
    async with _listener() as (base_url, received), aiohttp.ClientSession() as session:
        await _send(session, sync_request(EVENT, account, base_url))
    (call,) = received
    recorded = RECORDED["calls"][name]
    assert (call.method, call.path) == (recorded["method"], recorded["url"])
    assert _comparable(call.headers) == _comparable(recorded["headers"]) | OURS
    assert call.body == BODY == base64.b64decode(recorded["body"])


def test_the_recording_covers_every_aggregator() -> None:
    """And was made with the version that it is named for."""
    assert set(RECORDED["calls"]) == {*AGGREGATORS, "all"}
    assert RECORDED["clients"]["fuse-node"] == "2.0.3"


def test_every_header_of_the_table_has_the_error_code_that_fuse_gives_when_it_is_missing() -> None:
    """The client's list of codes names the headers once more; nothing in it is missing from the table."""
    headers = [credential.header for credentials in AGGREGATORS.values() for credential in credentials]
    codes = {f"missing_{header.lower().replace('-', '_')}_header" for header in headers}
    known = set(RECORDED["missing_header_codes"])
    assert codes - known == {"missing_teller_token_signing_key_header"}
    assert known - codes == {"missing_fuse_verification_header"}


async def test_blanks_around_a_body_are_kept_where_the_node_client_trims_them() -> None:
    """The one difference, and on purpose: what is forwarded is what was received, to the byte."""
    body = b" " + BODY + b"\n"
    async with _listener() as (base_url, received), aiohttp.ClientSession() as session:
        await _send(session, sync_request(replace(EVENT, body=body), _plain_account(), base_url))
    assert base64.b64decode(RECORDED["body_with_blanks_around_it_sent_as"]) == body.strip()
    assert received[0].body == body


@pytest.mark.parametrize("body", [b"", b"\xff\x00\r\n", b"{" + b" " * 200_000 + b"}"])
def test_any_body_is_sent_as_it_is(body: bytes) -> None:
    """Not even looked at."""
    assert sync_request(replace(EVENT, body=body), _plain_account(), BASE_URL).body is body


def test_the_idempotency_key_names_event_and_generation() -> None:
    """So that a deliberate re-send is a new call and a retry is not."""
    request = sync_request(replace(EVENT, generation=3), _plain_account(), BASE_URL)
    assert request.headers["Idempotency-Key"] == f"{EVENT.id}:3"
    assert request == sync_request(replace(EVENT, generation=3), _plain_account(), BASE_URL)


def test_accounts_and_events_do_not_share_headers() -> None:
    """What is remembered per account never crosses over."""
    first, second = _plain_account(), _plain_account(api_key=SecretStr("other"))
    requests = [sync_request(event, account, BASE_URL) for account in (first, second) for event in (EVENT, _later())]
    told = [(r.headers["Fuse-Api-Key"], r.headers["Fuse-Verification"]) for r in requests]
    assert told == [(key, signature) for key in ("key", "other") for signature in (EVENT.verification, "bGF0ZXI=")]


def test_an_account_that_is_gone_takes_its_remembered_headers_with_it() -> None:
    """Secrets are not kept beyond the account that they belong to."""
    from consumer.handlers import fuse_request  # noqa: PLC0415 - its memory is looked at by this test only

    before = len(fuse_request._HEADERS)  # noqa: SLF001 - see above
    account = _plain_account()
    sync_request(EVENT, account, BASE_URL)
    assert len(fuse_request._HEADERS) == before + 1  # noqa: SLF001
    del account
    assert len(fuse_request._HEADERS) == before  # noqa: SLF001


def test_the_accounts_own_base_url_goes_first() -> None:
    """A tenant may be pointed elsewhere alone."""
    assert sync_request(EVENT, _plain_account(), BASE_URL).url == f"{BASE_URL}/v1/financial_connections/sync"
    own = _plain_account(base_url="http://staging:1/x")
    assert sync_request(EVENT, own, BASE_URL).url == "http://staging:1/x/v1/financial_connections/sync"


def test_it_says_who_calls() -> None:
    """With the version, for Fuse's side of an enquiry."""
    name, _, version = sync_request(EVENT, _plain_account(), BASE_URL).headers["User-Agent"].partition("/")
    assert name == "fuse-sync"
    assert version[0].isdigit()


def test_a_request_does_not_show_its_secrets_or_its_body() -> None:
    """It may end up in a traceback or a log."""
    account = _plain_account(credentials={"Plaid-Secret": SecretStr("s3cr3t")})
    request = sync_request(EVENT, account, BASE_URL)
    assert request.headers["Plaid-Secret"] == "s3cr3t"
    assert repr(request) == f"Post(url='{request.url}')"


def _later() -> Event:
    return replace(EVENT, verification="bGF0ZXI=")


async def _send(session: aiohttp.ClientSession, request: Post) -> None:
    async with session.post(request.url, data=request.body, headers=request.headers) as response:
        assert response.status == 200


class _Call:
    def __init__(self, head: bytes, body: bytes) -> None:
        start, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = start.split(" ")
        pairs = [line.partition(": ") for line in lines if line]
        self.headers = {name: value for name, _, value in pairs}
        self.body = body
        assert len(self.headers) == len(pairs)


@asynccontextmanager
async def _listener() -> AsyncIterator[tuple[str, list[_Call]]]:
    """Listen on loopback, note each call as its raw bytes have it, and answer 200."""
    received: list[_Call] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        received.append(_Call(head, await reader.readexactly(size)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", received

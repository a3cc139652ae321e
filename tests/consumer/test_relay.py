"""The handler `relay` over real HTTP on loopback: what receivers get, and which addresses are never called."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from consumer.handler import Context
from consumer.handlers.public_sockets import is_public
from consumer.handlers.relay import Relay, open_relay
from consumer.handlers.relay_request import sign
from schemas.errors import ConfigurationError, DestinationDown, Misconfigured, Retryable
from schemas.outcome import Applied, Ignored
from schemas.relay_target import RelayTarget
from schemas.tenants import Tenant, Tenants
from tests.consumer.fakes import event, settings

NEW, OLD = b"n" * 24, b"o" * 64
SECRETS = (SecretStr("whsec_" + base64.b64encode(NEW).decode()), SecretStr(base64.b64encode(OLD).decode()))
CONTEXT = Context(idempotency_key="event-0:0", attempt=1)
Request = tuple[dict[str, str], bytes]


def known(url: str | None) -> Tenants:
    """Give the tenant acme with a receiver there."""
    target = None if url is None else RelayTarget(url=url, secrets=SECRETS)
    return Tenants({"acme": Tenant(name="acme", accounts={}, relay=target)})


@asynccontextmanager
async def receiver(status: int = 200, **headers: str) -> AsyncIterator[tuple[str, list[Request]]]:
    """Start a receiver that answers so, and notes what it got."""
    got: list[Request] = []

    async def take(request: web.Request) -> web.Response:
        got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/in", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/in")), got


@asynccontextmanager
async def relay_to(url: str | None, **given_settings: object) -> AsyncIterator[Relay]:
    """Open the handler as the process does, with private addresses allowed unless told otherwise."""
    async with open_relay(settings(**{"relay_allow_private": True, **given_settings}), known(url)) as relay:
        yield relay


async def test_a_receiver_gets_the_bytes_signed_with_every_secret() -> None:
    """Defends promises 3 and 10: checked here with the standard's own formula, and Fuse's signature is not there."""
    body = b'{"a": 1.0,  "b":"\xc3\xa9"}'
    async with receiver(202) as (url, got), relay_to(url) as relay:
        assert await relay(event(body=body, type="anything.new"), CONTEXT) == Applied(status=202)
    [(headers, received)] = got
    assert received == body
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (NEW, OLD)]
    assert headers["webhook-signature"] == f"v1,{expected[0]} v1,{expected[1]}"
    assert headers["webhook-id"] == CONTEXT.idempotency_key
    assert headers["content-type"] == "application/json"
    assert (headers["ce-id"], headers["ce-type"], headers["ce-tenant"]) == ("event-0", "anything.new", "acme")
    assert not any(event().verification in value for value in headers.values())


def test_the_signature_is_that_of_the_standards_example() -> None:
    """The vector of the reference libraries of Standard Webhooks."""
    secret = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, [secret])
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "headers", "seconds"), [(500, {}, None), (429, {"Retry-After": "7"}, 7), (302, {}, None)]
)
async def test_a_bad_answer_is_tried_again(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """No sooner than it asks for; a redirect is not followed."""
    async with receiver(status, **headers, Location="/in") as (url, got), relay_to(url) as relay:
        with pytest.raises(Retryable) as caught:
            await relay(event(), CONTEXT)
    assert (caught.value.status, caught.value.retry_after, len(got)) == (status, seconds, 1)


async def test_no_answer_means_that_the_receiver_is_down() -> None:
    """So that the group stops calling it."""
    async with relay_to("http://127.0.0.1:1/in") as relay:
        assert relay.destination(event()) == "http://127.0.0.1:1"
        with pytest.raises(DestinationDown):
            await relay(event(), CONTEXT)


async def test_without_a_url_an_event_is_ignored_and_an_unknown_tenant_waits() -> None:
    """Whoever is missing from the file may have been left out by mistake."""
    async with relay_to(None) as relay:
        assert relay.destination(event()) is None
        assert await relay(event(), CONTEXT) == Ignored(reason="no_relay_url")
        with pytest.raises(Misconfigured, match="tenants file"):
            await relay(event(tenant="other"), CONTEXT)


async def test_the_groups_own_url_is_for_tenants_without_one() -> None:
    """With its secret."""
    async with receiver() as (url, got), relay_to(None, relay_url=url, relay_secret=SECRETS[1]) as relay:
        assert await relay(event(), CONTEXT) == Applied(status=200)
    assert len(got) == 1


async def test_a_url_without_a_secret_is_a_fault() -> None:
    """Nothing is ever sent unsigned."""
    with pytest.raises(ConfigurationError, match="FUSE_SYNC_RELAY_SECRET"):
        async with relay_to(None, relay_url="http://127.0.0.1:1"):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]"])
async def test_what_leads_into_our_own_network_is_never_called(host: str) -> None:
    """Whether an address or a name says so, in whatever spelling."""
    async with receiver() as (url, got), relay_to(url.replace("127.0.0.1", host), relay_allow_private=False) as relay:
        with pytest.raises(Misconfigured, match="relay URL"):
            await relay(event(), CONTEXT)
    assert not got


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "fe80::1%eth0", "fc00::1", "::"],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, link-local, shared, unspecified, multicast, reserved."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("ff0e::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"),
        *("64:ff9b:1::a00:1", "::ffff:0:10.0.0.1", "::10.0.0.1", "fec0::1"),
    ],
)
def test_ipv6_that_leads_to_what_is_not_public(address: str) -> None:
    """Multicast, mapped, through a gateway, through 6to4; a gateway of its own, translated, compatible, site-local."""
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv6_form_of_an_ipv4_address_is_as_public_as_that(address: IPv4Address) -> None:
    """Mapped, or through a gateway."""
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        form = IPv6Address(int(IPv6Address(prefix)) | int(address))
        assert is_public(str(form)) == is_public(str(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    """Those of anybody."""
    assert is_public(address)

"""What the fake Fuse checks agrees with what the pipeline sends: both were written from Fuse's documents, apart."""

from datetime import UTC, datetime
from itertools import islice
from urllib.parse import urlsplit

from multidict import CIMultiDict

from consumer.handlers.fuse_request import sync_request
from sandbox.generator import Mix, generate
from sandbox.inspection import Inspected, Request, inspect, know
from schemas.canonical import read_body
from schemas.event import Environment, Event
from schemas.record import decode_attribute
from schemas.tenants import Tenants
from schemas.verification import sign


def sync(event: Event, tenants: Tenants) -> Inspected:
    """Inspect the pipeline's call for an event."""
    request = sync_request(event, tenants[event.tenant].accounts[event.environment], "http://fuse")
    headers = CIMultiDict(request.headers)
    path = urlsplit(request.url).path
    return inspect(Request(method="POST", path=path, headers=headers, body=request.body), know(tenants))


def event(tenant: str, body: bytes, verification: str) -> Event:
    """Make the event of a webhook."""
    members = read_body(body).members
    return Event(
        id="0190",
        tenant=tenant,
        environment=Environment(str(members["environment"])),
        type=str(members["type"]),
        connection=str(members["financial_connection_id"]),
        aggregator=str(members["source"]),
        received_at=datetime.now(UTC),
        verification=verification,
        body=body,
    )


def test_the_pipelines_own_calls_are_right_for_every_account_and_recognised(tenants: Tenants) -> None:
    """All tenants, environments and aggregators of the demo, canonical and scrambled."""
    mix = Mix(connections=60, scrambled_share=0.5)
    accounts = set()
    for webhook in islice(generate(tenants, mix, seed=5), 300):
        made = event(webhook.tenant, webhook.body, webhook.headers["fuse-verification"])
        accounts.add((made.tenant, made.environment))
        found = sync(made, tenants)
        assert found.refusal is None
        assert (found.tenant, found.environment, found.key) == (made.tenant, made.environment, "0190:0")
        assert decode_attribute("connection", found.connection.encode()) == made.connection
    assert accounts == {(name, environment) for name, tenant in tenants.items() for environment in tenant.accounts}


def test_a_body_signed_with_a_key_still_accepted_is_right(tenants: Tenants) -> None:
    """It was signed before the keys were rotated."""
    old = tenants["acme"].accounts[Environment.SANDBOX].accepted_keys[0]
    body = b'{"environment":"sandbox","financial_connection_id":"c","source":"mx","type":"t"}'
    assert sync(event("acme", body, sign(body, old).decode()), tenants).refusal is None


def test_an_idempotency_key_of_bytes_that_are_no_text_is_recorded_all_the_same(tenants: Tenants) -> None:
    """HTTP servers hand such bytes on as lone surrogates, which JSON cannot carry."""
    headers = CIMultiDict({"Idempotency-Key": "\udcff:0"})
    found = inspect(Request(method="POST", path="/", headers=headers, body=b""), know(tenants))
    assert found.key.isascii()


def test_a_connection_that_no_header_could_carry_is_recorded_as_record_keys_write_it(tenants: Tenants) -> None:
    """A lone surrogate and a line break, correctly signed."""
    key = tenants["acme"].accounts[Environment.SANDBOX].api_key
    body = b'{"environment":"sandbox","financial_connection_id":"\\ud800\\n","source":"mx","type":"t"}'
    found = sync(event("acme", body, sign(body, key).decode()), tenants)
    assert (found.refusal, found.connection) == (None, "%ED%A0%80%0A")

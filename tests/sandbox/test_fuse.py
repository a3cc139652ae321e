"""The fake Fuse over HTTP: what it checks, how it fails by plan, what it records."""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from sandbox.calls import Call, Ending, digest
from sandbox.generator import GeneratedWebhook, Mix, Variant, generate
from sandbox.inspection import know
from sandbox.plan import Plan
from schemas.errors import ConfigurationError
from schemas.tenants import Tenants, load_tenants
from tests.sandbox.conftest import Caller, Calling

ERROR_FIELDS = {"request_id", "title", "details", "code", "type", "source"}


def plan(action: dict[str, object], **conditions: object) -> Plan:
    """Make a plan of one rule."""
    return Plan.model_validate({"rules": [{"action": action, **conditions}]})


async def one_call(caller: Caller) -> Call:
    """Wait until the one call made has ended, and give its record."""
    for _ in range(500):
        calls = await caller.inquiry.calls()
        if calls and calls[0].ended is not None:
            return calls[0]
        await asyncio.sleep(0.01)
    raise AssertionError("the call never ended")


async def test_a_right_call_is_synced_and_recorded(calling: Calling, webhook: GeneratedWebhook) -> None:
    """Everything that the judge needs is in the record."""
    async with calling(Plan()) as caller:
        response = await caller.sync(webhook, caller.headers(webhook, "abc:0"))
        answer = await response.json()
        call = await one_call(caller)
    assert response.status == 200
    assert answer["message"] == "Financial connection data synced successfully."
    assert (call.tenant, call.environment, call.connection) == ("borealis", "sandbox", webhook.connection)
    assert (call.key, call.attempt, call.body) == ("abc:0", 1, digest(webhook.body))
    assert (call.status, call.ending, call.code) == (200, Ending.ANSWERED, None)
    assert call.ended is not None
    assert call.arrived <= call.ended


async def test_scrambled_bodies_are_synced_too(calling: Calling, tenants: Tenants) -> None:
    """The signature is over what the body means."""
    mix = Mix(connections=1, scrambled_share=1, other_share=0, tenants=("borealis",))
    webhook = next(generate(tenants, mix, seed=3))
    assert webhook.variant is Variant.SCRAMBLED
    async with calling(Plan()) as caller:
        assert (await caller.sync(webhook, caller.headers(webhook))).status == 200


WITHOUT = None


@pytest.mark.parametrize(
    ("header", "value", "refusal"),
    [
        ("Content-Type", "text/plain", (400, "request_content_type_invalid")),
        ("Fuse-Client-Id", WITHOUT, (401, "invalid_headers")),
        ("Fuse-Api-Key", WITHOUT, (401, "invalid_headers")),
        ("Fuse-Api-Key", "secret-guess", (401, "organization_not_found")),
        ("Fuse-Client-Id", "acme-client", (401, "organization_not_found")),
        ("fuse-verification", WITHOUT, (400, "missing_fuse_verification_header")),
        ("fuse-verification", "secret-guess", (400, "webhook_error")),
        ("fuse-verification", "sécret-guess", (400, "webhook_error")),
        ("Plaid-Secret", WITHOUT, (400, "missing_plaid_secret_header")),
        ("Plaid-Secret", "secret-guess", (401, "invalid_headers")),
        ("Flinks-Ca-Instance-Id", WITHOUT, (400, "missing_flinks_ca_instance_id_header")),
        ("Snaptrade-Consumer-Key", "", (401, "invalid_headers")),
    ],
)
async def test_a_wrong_header_is_refused_in_fuses_shape_and_repeated_to_nobody(
    calling: Calling, webhook: GeneratedWebhook, header: str, value: str | None, refusal: tuple[int, str]
) -> None:
    """One header is left out or wrong, all others are right."""
    status, code = refusal
    async with calling(Plan()) as caller:
        headers = {**caller.headers(webhook), header: value or ""}
        if value is WITHOUT:
            del headers[header]
        response = await caller.sync(webhook, headers)
        text = await response.text()
        call = await one_call(caller)
    answer = json.loads(text)
    assert (response.status, answer["code"], call.code) == (status, code, code)
    assert set(answer) - {"data"} == ERROR_FIELDS
    assert not any(secret in text for name, secret in headers.items() if secret and name != "Content-Type")


async def test_an_error_about_a_credential_names_the_aggregator(calling: Calling, webhook: GeneratedWebhook) -> None:
    """In `data`, where Fuse's error model has it."""
    async with calling(Plan()) as caller:
        response = await caller.sync(webhook, {**caller.headers(webhook), "Plaid-Secret": "x"})
        assert (await response.json())["data"]["aggregator"] == "plaid"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "request_body_missing"),
        (b"{", "request_body_invalid_json"),
        (b'{"type": "tampered"}', "webhook_error"),
    ],
)
async def test_a_wrong_body_is_refused(calling: Calling, webhook: GeneratedWebhook, body: bytes, code: str) -> None:
    """What the webhook did not say is not synced."""
    async with calling(Plan()) as caller:
        headers = caller.headers(webhook)
        async with caller.session.post(
            f"{caller.url}/v1/financial_connections/sync", data=body, headers=headers
        ) as response:
            assert (response.status, (await response.json())["code"]) == (400, code)


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/other", 404), ("PUT", None, 405)])
async def test_another_path_or_method_is_refused(
    calling: Calling, webhook: GeneratedWebhook, method: str, path: str | None, status: int
) -> None:
    """There is one endpoint."""
    async with calling(Plan()) as caller:
        path = path or "/v1/financial_connections/sync"
        response = await caller.sync(webhook, caller.headers(webhook), path=path, method=method)
        assert response.status == status


async def test_a_planned_error_has_its_status_code_type_and_retry_after(
    calling: Calling, webhook: GeneratedWebhook
) -> None:
    """What the plan leaves out fits the status."""
    action = {"do": "answer", "status": 429, "type": "server_error", "source": "aggregator", "retry_after": 7}
    async with calling(plan(action)) as caller:
        response = await caller.sync(webhook, caller.headers(webhook))
        answer = await response.json()
    assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert (answer["type"], answer["code"], answer["source"]) == (
        "server_error",
        "aggregator_rate_limit_error",
        "aggregator",
    )


async def test_retry_after_can_be_a_date(calling: Calling, webhook: GeneratedWebhook) -> None:
    """Never nearer than asked for."""
    action = {"do": "answer", "status": 503, "retry_after": 30, "retry_after_form": "date"}
    async with calling(plan(action)) as caller:
        before = datetime.now(UTC)
        response = await caller.sync(webhook, caller.headers(webhook))
    assert 30 <= (parsedate_to_datetime(response.headers["Retry-After"]) - before).total_seconds() < 33


async def test_a_failure_of_first_attempts_ends_for_each_event(calling: Calling, webhook: GeneratedWebhook) -> None:
    """Attempts are counted by idempotency key."""
    async with calling(plan({"do": "answer", "status": 500}, first_attempts=1)) as caller:
        keys = ["a:0", "b:0", "a:0", "b:0"]
        statuses = [(await caller.sync(webhook, caller.headers(webhook, key))).status for key in keys]
        calls = await caller.inquiry.calls()
    assert statuses == [500, 500, 200, 200]
    assert [call.attempt for call in calls] == [1, 1, 2, 2]


async def test_a_hanging_call_ends_when_the_client_gives_up(calling: Calling, webhook: GeneratedWebhook) -> None:
    """It is recorded as hung, without a status."""
    async with calling(plan({"do": "hang"})) as caller:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.sync(webhook, caller.headers(webhook)), 0.1)
        call = await one_call(caller)
    assert (call.ending, call.status) == (Ending.HUNG, None)


async def test_a_call_whose_client_vanishes_during_the_delay_is_gone(
    calling: Calling, webhook: GeneratedWebhook
) -> None:
    """It counts neither as answered nor as synced."""
    async with calling(Plan(delay=30)) as caller:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.sync(webhook, caller.headers(webhook)), 0.1)
        call = await one_call(caller)
        summary = await caller.inquiry.summary()
    assert (call.ending, call.status) == (Ending.GONE, None)
    assert (summary.open, summary.synced, summary.endings) == (0, 0, {"gone": 1})


async def test_a_reset_breaks_the_connection(calling: Calling, webhook: GeneratedWebhook) -> None:
    """The client sees no answer, and not even an orderly end."""
    async with calling(plan({"do": "reset"})) as caller:
        with pytest.raises(aiohttp.ClientOSError):
            await caller.sync(webhook, caller.headers(webhook))
        call = await one_call(caller)
    assert (call.ending, call.status) == (Ending.RESET, None)


async def test_the_plan_can_be_replaced_while_running(calling: Calling, webhook: GeneratedWebhook) -> None:
    """From healthy to broken, at once."""
    async with calling(Plan()) as caller:
        before = await caller.sync(webhook, caller.headers(webhook, "a:0"))
        await caller.inquiry.follow(plan({"do": "answer", "status": 502}))
        after = await caller.sync(webhook, caller.headers(webhook, "b:0"))
    assert (before.status, after.status) == (200, 502)


async def test_a_bad_plan_is_refused_and_the_old_one_stays(calling: Calling, webhook: GeneratedWebhook) -> None:
    """The faults are in the answer."""
    async with calling(plan({"do": "answer", "status": 502})) as caller:
        async with caller.session.put(f"{caller.url}/_sandbox/plan", data=b"seed = 'x'") as response:
            faults = (await response.json())["faults"]
        still = await caller.sync(webhook, caller.headers(webhook))
    assert (response.status, still.status) == (400, 502)
    assert faults[0].startswith("seed: ")


async def test_a_window_of_time_begins_when_the_plan_is_put_in_place(
    calling: Calling, webhook: GeneratedWebhook
) -> None:
    """By the fake Fuse's own clock, moved by hand here."""
    async with calling(Plan()) as caller:
        caller.fuse.clock = lambda: 1000.0
        await caller.inquiry.follow(plan({"do": "answer", "status": 500}, since=10, until=20))
        statuses = []
        for moment in (1009.0, 1010.0, 1019.0, 1020.0):
            caller.fuse.clock = partial(float, moment)
            response = await caller.sync(webhook, caller.headers(webhook))
            statuses.append(response.status)
    assert statuses == [200, 500, 500, 200]


async def test_reset_forgets_calls_and_attempts(calling: Calling, webhook: GeneratedWebhook) -> None:
    """The plan's first attempts begin anew."""
    async with calling(plan({"do": "answer", "status": 500}, first_attempts=1)) as caller:
        headers = caller.headers(webhook)
        first = await caller.sync(webhook, headers)
        await caller.inquiry.reset()
        assert await caller.inquiry.calls() == []
        assert (await caller.sync(webhook, headers)).status == first.status == 500


async def test_overlaps_and_repeats_are_counted_as_they_come(calling: Calling, webhook: GeneratedWebhook) -> None:
    """Two calls of a lane at once, and one again after its success."""
    async with calling(Plan(delay=0.1)) as caller:
        await asyncio.gather(*(caller.sync(webhook, caller.headers(webhook, key)) for key in ("a:0", "b:0")))
        await caller.sync(webhook, caller.headers(webhook, "a:0"))
        summary = await caller.inquiry.summary()
    assert (summary.received, summary.synced, summary.overlapping, summary.repeated) == (3, 2, 1, 1)
    assert summary.synced_by_tenant == {"borealis": 2}


async def test_calls_beyond_the_capacity_are_answered_and_counted_and_forbid_a_verdict(
    calling: Calling, webhook: GeneratedWebhook
) -> None:
    """Memory is bounded, and what is missing is not passed over."""
    async with calling(Plan()) as caller:
        caller.fuse.capacity = 2
        await caller.inquiry.reset()
        statuses = [(await caller.sync(webhook, caller.headers(webhook, f"{n}:0"))).status for n in range(3)]
        assert (statuses, (await caller.inquiry.summary()).unrecorded) == ([200] * 3, 1)
        with pytest.raises(ConfigurationError, match="--keep"):
            await caller.inquiry.calls()


@pytest.mark.parametrize("query", ["from=-1", "from=x", "limit=0", "limit=10001"])
async def test_a_page_that_cannot_be_is_refused(calling: Calling, query: str) -> None:
    """With a sentence."""
    async with calling(Plan()) as caller, caller.session.get(f"{caller.url}/_sandbox/calls?{query}") as response:
        assert response.status == 400


async def test_calls_are_paged(calling: Calling, webhook: GeneratedWebhook) -> None:
    """From and limit choose."""
    async with calling(Plan()) as caller:
        for number in range(4):
            await caller.sync(webhook, caller.headers(webhook, f"{number}:0"))
        async with caller.session.get(f"{caller.url}/_sandbox/calls?from=1&limit=2") as response:
            keys = [json.loads(line)["key"] for line in (await response.text()).splitlines()]
    assert keys == ["1:0", "2:0"]


def test_two_accounts_with_the_same_keys_are_refused(tmp_path: Path) -> None:
    """The fake Fuse could not tell whose call it is."""
    account = 'client_id = "c"\napi_key = "secret-key"\n'
    text = f"allow_literals = true\n[tenants.a.sandbox]\n{account}[tenants.b.sandbox]\n{account}"
    (tmp_path / "tenants.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"b\.sandbox: has the client id and API key of a\.sandbox") as caught:
        know(load_tenants(tmp_path / "tenants.toml", {}))
    assert "secret-key" not in str(caught.value)

"""The generator makes what the ingress has to tell apart."""

import json
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.generator import FORGERIES, GeneratedWebhook, Mix, Variant, generate
from sandbox.spelling import scramble
from schemas.canonical import read_body
from schemas.errors import ConfigurationError, InvalidSignature
from schemas.tenants import Tenants
from schemas.verification import verify
from schemas.webhook import Webhook, WebhookType

ALL_SORTS = Mix(connections=40, forged_share=0.3, scrambled_share=0.3, other_share=0.5)


def make(tenants: Tenants, mix: Mix, count: int, seed: int = 0) -> list[GeneratedWebhook]:
    """Make so many."""
    return list(islice(generate(tenants, mix, seed), count))


def is_verified(webhook: GeneratedWebhook, tenants: Tenants) -> bool:
    """Verify a webhook as the ingress does."""
    if webhook.tenant not in tenants:
        return False
    body = read_body(webhook.body)
    keys = tenants[webhook.tenant].signing_keys(body.members.get("environment"))
    try:
        verify(body, webhook.headers.get("fuse-verification", "").encode(), keys)
    except InvalidSignature:
        return False
    return True


@given(seed=st.integers())
def test_the_same_seed_makes_the_same_webhooks(tenants: Tenants, seed: int) -> None:
    """To the byte, headers included."""
    assert make(tenants, ALL_SORTS, 20, seed) == make(tenants, ALL_SORTS, 20, seed)


def test_another_seed_makes_other_webhooks(tenants: Tenants) -> None:
    """The seed is not ignored."""
    assert make(tenants, ALL_SORTS, 20, 1) != make(tenants, ALL_SORTS, 20, 2)


def test_all_genuine_webhooks_verify_and_no_forged_one_does(tenants: Tenants) -> None:
    """Thousands, of every variant and type."""
    webhooks = make(tenants, ALL_SORTS, 3000)
    assert {webhook.variant for webhook in webhooks} == set(Variant)
    assert {webhook.type for webhook in webhooks} == set(WebhookType)
    wrong = [webhook for webhook in webhooks if is_verified(webhook, tenants) is webhook.variant.forged]
    assert wrong == []


def test_canonical_bodies_are_canonical_and_scrambled_ones_are_not(tenants: Tenants) -> None:
    """Both ways through a verifier are used."""
    for webhook in make(tenants, ALL_SORTS, 500):
        if not webhook.variant.forged:
            is_canonical = read_body(webhook.body).canonical() == webhook.body
            assert is_canonical is (webhook.variant is Variant.CANONICAL)


def test_every_body_follows_fuses_model(tenants: Tenants) -> None:
    """With an environment in which the tenant has an account, and the connection that the webhook is listed under."""
    for webhook in make(tenants, Mix(connections=40, other_share=0.5), 500):
        body = Webhook.model_validate_json(webhook.body)
        assert body.environment in {environment.value for environment in tenants[webhook.tenant].accounts}
        assert (body.type, body.financial_connection_id) == (webhook.type, webhook.connection)


def test_webhooks_are_of_all_tenants_and_only_of_configured_aggregators(tenants: Tenants) -> None:
    """Finished connections name no source."""
    webhooks = make(tenants, Mix(connections=60), 1000)
    assert {webhook.tenant for webhook in webhooks} == set(tenants)
    for webhook in webhooks:
        body = json.loads(webhook.body)
        accounts = tenants[webhook.tenant].accounts
        headers = {name.partition("-")[0].lower() for account in accounts.values() for name in account.credentials}
        assert body["source"] in headers or webhook.type == WebhookType.FINISHED


def test_mx_data_is_a_string_of_json(tenants: Tenants) -> None:
    """As in the example in Fuse's documents."""
    bodies = [json.loads(webhook.body) for webhook in make(tenants, Mix(connections=60, other_share=0), 500)]
    data = [body["remote_data"] for body in bodies if body["source"] == "mx"]
    assert data
    assert all(json.loads(text)["type"] == "AGGREGATION" for text in data)


def test_equal_bodies_of_one_connection_occur(tenants: Tenants) -> None:
    """So that whoever takes a hash of the body for an event's identity is found out."""
    bodies = [webhook.body for webhook in make(tenants, Mix(other_share=0), 1000)]
    assert len(set(bodies)) < len(bodies)


def test_shares_are_kept(tenants: Tenants) -> None:
    """A quarter forged, in equal parts, and half scrambled, within a few percent."""
    webhooks = make(tenants, Mix(forged_share=0.25, scrambled_share=0.5), 4000)
    count = {variant: sum(webhook.variant is variant for webhook in webhooks) for variant in Variant}
    assert count[Variant.SCRAMBLED] == pytest.approx(2000, abs=150)
    assert all(count[forgery] == pytest.approx(250, abs=80) for forgery in FORGERIES)


def test_a_tenants_file_without_the_wanted_tenant_is_refused_at_once(tenants: Tenants) -> None:
    """Not only when the first webhook is taken."""
    with pytest.raises(ConfigurationError, match="no account"):
        generate(tenants, Mix(tenants=("nobody",)), seed=0)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(value=JSON, seed=st.integers())
def test_a_scrambled_text_means_the_same(value: object, seed: int) -> None:
    """Whatever the value."""
    assert json.loads(scramble(value, Random(seed))) == value

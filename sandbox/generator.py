"""Webhooks to send: genuine ones in several spellings, and forged ones. Seeded and pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from pydantic import SecretStr

from sandbox.bodies import Connection, make_body, make_connection, make_id
from sandbox.spelling import scramble
from schemas.aggregators import AGGREGATORS
from schemas.canonical import read_body
from schemas.errors import ConfigurationError
from schemas.tenants import Account, Tenants
from schemas.verification import sign
from schemas.webhook import WebhookType

SIGNATURE_HEADER = "fuse-verification"


class Variant(StrEnum):
    """How a webhook is written. All but the first two are forged."""

    CANONICAL = "canonical"
    SCRAMBLED = "scrambled"
    WRONG_KEY = "wrong-key"
    TAMPERED = "tampered"
    UNSIGNED = "unsigned"
    UNKNOWN_TENANT = "unknown-tenant"

    @property
    def forged(self) -> bool:
        """Say whether the ingress has to refuse it."""
        return self not in {Variant.CANONICAL, Variant.SCRAMBLED}


_OTHER_TYPES = tuple(kind for kind in WebhookType if kind is not WebhookType.SYNC_DATA)
FORGERIES = tuple(variant for variant in Variant if variant.forged)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedWebhook:
    """A webhook to POST to the ingress's route of `tenant`. Genuine ones are answered 200, forged ones 403."""

    tenant: str
    connection: str
    type: str
    variant: Variant
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What is made: over how many connections, and the shares of forged, scrambled and other webhooks.

    `other_share` is that of types other than `financial_connection.sync_data`. `tenants` restricts the tenants.
    """

    connections: int = 100
    forged_share: float = 0.0
    scrambled_share: float = 0.0
    other_share: float = 0.1
    tenants: tuple[str, ...] = ()


def generate(tenants: Tenants, mix: Mix, seed: int) -> Iterator[GeneratedWebhook]:
    """Make webhooks without end, the same for the same arguments. Raises ConfigurationError if there is no account."""
    rng = Random(seed)
    connections = _connections(tenants, mix, rng)
    return _generate(tenants, mix, rng, connections)


def write(
    rng: Random, variant: Variant, body: dict[str, object], connection: Connection, tenants: Tenants
) -> GeneratedWebhook:
    """Write a body of `connection` in this variant, and sign it as the variant asks."""
    key = tenants[connection.tenant].accounts[connection.environment].api_key
    # Signed over what was meant, not over what a reader makes of the spelling: so the reader is tested, too.
    canonical = _canonical(body)
    return GeneratedWebhook(
        tenant=_unknown(rng, tenants) if variant is Variant.UNKNOWN_TENANT else connection.tenant,
        connection=connection.id,
        type=str(body["type"]),
        variant=variant,
        body=_spell(rng, variant, body, canonical),
        headers=_headers(variant, canonical, key),
    )


def _generate(tenants: Tenants, mix: Mix, rng: Random, connections: Sequence[Connection]) -> Iterator[GeneratedWebhook]:
    while True:
        connection = rng.choice(connections)
        body = make_body(rng, _draw_type(rng, mix), connection)
        yield write(rng, _draw_variant(rng, mix), body, connection, tenants)


def _connections(tenants: Tenants, mix: Mix, rng: Random) -> list[Connection]:
    places = [
        (name, environment, aggregator)
        for name, tenant in tenants.items()
        for environment, account in tenant.accounts.items()
        for aggregator in _aggregators(account)
        if not mix.tenants or name in mix.tenants
    ]
    if not places:
        raise ConfigurationError(["the tenants file has no account to send webhooks for: add one, or ask for another."])
    # Round robin, so that few connections still are of many tenants and aggregators.
    rng.shuffle(places)
    return [make_connection(rng, *places[number % len(places)]) for number in range(mix.connections)]


def _aggregators(account: Account) -> list[str]:
    configured = [
        name
        for name, credentials in AGGREGATORS.items()
        if any(credential.header in account.credentials for credential in credentials)
    ]
    return configured or ["fuse"]


def _draw_type(rng: Random, mix: Mix) -> WebhookType:
    return rng.choice(_OTHER_TYPES) if rng.random() < mix.other_share else WebhookType.SYNC_DATA


def _draw_variant(rng: Random, mix: Mix) -> Variant:
    point = rng.random()
    if point < mix.forged_share:
        return rng.choice(FORGERIES)
    return Variant.SCRAMBLED if point < mix.forged_share + mix.scrambled_share else Variant.CANONICAL


def _canonical(body: dict[str, object]) -> bytes:
    # Sorted already, since the reader of bodies is several times faster with what is nearly canonical.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return read_body(text.encode()).canonical()


def _unknown(rng: Random, tenants: Tenants) -> str:
    while (name := f"nobody-{rng.getrandbits(32):08x}") in tenants:
        pass
    return name


def _spell(rng: Random, variant: Variant, body: dict[str, object], canonical: bytes) -> bytes:
    match variant:
        case Variant.SCRAMBLED:
            return scramble(body, rng).encode()
        case Variant.TAMPERED:
            return _canonical({**body, "financial_connection_id": make_id(rng)})
        case _:
            return canonical


def _headers(variant: Variant, canonical: bytes, key: SecretStr) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if variant is Variant.WRONG_KEY:
        key = SecretStr(f"{key.get_secret_value()}, forged")
    if variant is not Variant.UNSIGNED:
        headers[SIGNATURE_HEADER] = sign(canonical, key).decode("ascii")
    return headers

"""Bodies of webhooks as Fuse's documents describe them; seeded and pure.

The outer fields are Fuse's model. What an aggregator writes into `remote_data` follows the example that Fuse's
documents give for MX; for all others they give none, so that the content is a guess which only has to be JSON.
`verification_token` is opaque, since what it holds is not documented.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from uuid import UUID

from schemas.event import Environment
from schemas.webhook import WebhookType

_PLAID_CODES = ("SYNC_UPDATES_AVAILABLE", "DEFAULT_UPDATE", "HISTORICAL_UPDATE")
_NAMES = ("Café du Nord", "Økonomibanken", "東京信用金庫", "Banco “Azul”", "Savings 💶", "A/B <Trust> & Co")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A user's connection to a bank, and whose customer the user is."""

    id: str
    tenant: str
    environment: Environment
    aggregator: str


def make_connection(rng: Random, tenant: str, environment: Environment, aggregator: str) -> Connection:
    """Make a connection with an identifier of its own."""
    return Connection(id=make_id(rng), tenant=tenant, environment=environment, aggregator=aggregator)


def make_id(rng: Random) -> str:
    """Draw a UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def make_body(rng: Random, kind: WebhookType, connection: Connection) -> dict[str, object]:
    """Make a body of this type, its keys in the order in which Fuse documents them."""
    return {
        "type": kind.value,
        "financial_connection_id": connection.id,
        "environment": connection.environment.value,
        "source": "" if kind is WebhookType.FINISHED else connection.aggregator,
        **_MAKERS[kind](rng, connection),
    }


def _sync_data(rng: Random, connection: Connection) -> dict[str, object]:
    make = _REMOTE.get(connection.aggregator, _other)
    members: dict[str, object] = {"remote_data": make(rng, connection)}
    if connection.aggregator == "teller":
        members["verification_token"] = rng.randbytes(48).hex()
    return members


def _nothing_more(_: Random, __: Connection) -> dict[str, object]:
    return {"remote_data": {}}


def _transactions(rng: Random, connection: Connection) -> dict[str, object]:
    removed = [f"tx_{rng.randrange(10_000)}" for _ in range(rng.randrange(4))]
    return {
        "remote_data": {},
        "historical_transactions_available": rng.random() < 0.5,  # noqa: PLR2004 - a coin
        **({"removed_transaction_ids": removed} if connection.aggregator == "plaid" else {}),
    }


def _assets(rng: Random, _: Connection) -> dict[str, object]:
    return {"remote_data": {}, "asset_report_id": make_id(rng)}


_MAKERS: Mapping[WebhookType, Callable[[Random, Connection], dict[str, object]]] = {
    WebhookType.SYNC_DATA: _sync_data,
    WebhookType.DISCONNECTED: _nothing_more,
    WebhookType.FINISHED: _nothing_more,
    WebhookType.TRANSACTIONS_UPDATES: _transactions,
    WebhookType.ASSETS_REPORT_READY: _assets,
}


def _mx(rng: Random, connection: Connection) -> str:
    moment = rng.randrange(1_700_000_000, 1_800_000_000)
    data = {
        "type": "AGGREGATION",
        "action": "member_data_updated",
        "user_guid": f"USR-{connection.id}",
        "member_guid": f"MBR-{make_id(rng)}",
        "job_guid": f"JOB-{make_id(rng)}",
        "transactions_created_count": rng.randrange(20),
        "transactions_updated_count": rng.randrange(5),
        "is_background": rng.random() < 0.8,  # noqa: PLR2004 - most are
        "completed_at": moment,
    }
    return json.dumps(data, separators=(",", ":"))


def _plaid(rng: Random, connection: Connection) -> str:
    # Nothing here but the code varies, so equal bodies of one connection do occur.
    data = {
        "webhook_type": "TRANSACTIONS",
        "webhook_code": rng.choice(_PLAID_CODES),
        "item_id": connection.id.replace("-", ""),
        "initial_update_complete": True,
        "historical_update_complete": True,
        "environment": connection.environment.value,
    }
    return json.dumps(data, separators=(",", ":"))


def _teller(rng: Random, connection: Connection) -> str:
    data = {
        "id": f"wh_{rng.getrandbits(64):x}",
        "payload": {"enrollment_id": f"enr_{connection.id[:18]}", "transactions": rng.randrange(30)},
        "timestamp": f"2026-01-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:00:00Z",
        "type": "transactions.processed",
    }
    return json.dumps(data, separators=(",", ":"))


def _other(rng: Random, connection: Connection) -> dict[str, object]:
    accounts = [
        {"id": make_id(rng), "name": rng.choice(_NAMES), "balance": rng.randrange(-50_000, 1_000_000) / 100}
        for _ in range(rng.randrange(1, 4))
    ]
    return {
        "event": "accounts.updated",
        "reference": connection.id,
        "accounts": accounts,
        "sequence": rng.randrange(99),
    }


_REMOTE: Mapping[str, Callable[[Random, Connection], object]] = {"mx": _mx, "plaid": _plaid, "teller": _teller}

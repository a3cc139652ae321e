"""The tenants file: who the customers are, their Fuse keys and aggregator credentials. See docs/tenants.md.

Everything wrong is reported together, one sentence each with its place, and no sentence holds a secret.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from schemas.aggregators import AGGREGATORS, header_name_fault, missing_fields
from schemas.credential import BadCredential, Sources, resolve
from schemas.errors import ConfigurationError
from schemas.event import TENANT_NAME, Environment
from schemas.relay_target import RelayTarget, read_relay_target
from schemas.toml_table import TomlTable
from schemas.urls import BASE_URL_RULE, is_base_url
from schemas.verification import SigningKey

_NAME = re.compile(TENANT_NAME)
_FILE_KEYS = ("allow_literals", "tenants")
_TENANT_KEYS = ("ingest_limit", "ingest_burst", "relay", *Environment)
_ACCOUNT_KEYS = ("client_id", "api_key", "accepted_keys", "base_url", "headers", *AGGREGATORS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Account:
    """A tenant's keys in one environment. Compared by identity, so that what is derived from it can be remembered.

    `accepted_keys` verify webhooks beside `api_key` while keys are rotated; nothing is sent with them.
    `credentials` maps header names to values, for all configured aggregators.
    """

    client_id: SecretStr
    api_key: SecretStr
    accepted_keys: tuple[SecretStr, ...] = ()
    base_url: str | None = None
    credentials: Mapping[str, SecretStr] = field(default_factory=lambda: MappingProxyType({}))


def same_account(one: Account | None, other: Account | None) -> bool:
    """Compare accounts by value."""
    if one is None or other is None:
        return one is other
    return all(getattr(one, each.name) == getattr(other, each.name) for each in fields(Account))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One customer. `ingest_limit` is in webhooks per second; `ingest_burst` is how many may come at once above it."""

    name: str
    accounts: Mapping[Environment, Account]
    ingest_limit: float | None = None
    ingest_burst: int | None = None
    relay: RelayTarget | None = None
    _keys: Mapping[str, tuple[SigningKey, ...]] = field(init=False, repr=False, compare=False)
    _all_keys: tuple[SigningKey, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = {environment: _signing_keys(environment, self.accounts.get(environment)) for environment in Environment}
        object.__setattr__(self, "_keys", MappingProxyType(keys))
        object.__setattr__(self, "_all_keys", tuple(key for of_one in keys.values() for key in of_one))

    def signing_keys(self, named: object) -> tuple[SigningKey, ...]:
        """Give the keys that may have signed a body which names this environment.

        Those of both where it names none, that is, anything other than "sandbox" or "production".
        """
        return self._keys.get(named, self._all_keys) if isinstance(named, str) else self._all_keys


def same_tenant(one: Tenant, other: Tenant) -> bool:
    """Compare tenants by value."""
    return replace(one, accounts={}) == replace(other, accounts={}) and all(
        same_account(one.accounts.get(name), other.accounts.get(name)) for name in Environment
    )


class Tenants(Mapping[str, Tenant]):
    """All tenants by name."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, Tenant]) -> None:
        self._by_name = dict(by_name)

    def __getitem__(self, name: str) -> Tenant:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Tenants({', '.join(self._by_name)})"


def load_tenants(path: Path, environ: Mapping[str, str]) -> Tenants:
    """Read the tenants file at `path`; `env:` references are looked up in `environ`.

    Paths of `file:` references start from the file's folder. Raises ConfigurationError with every fault.
    """
    faults: list[str] = []
    tenants = _read(path, environ, faults)
    if faults:
        raise ConfigurationError(faults)
    return tenants


def _signing_keys(environment: Environment, account: Account | None) -> tuple[SigningKey, ...]:
    secrets = () if account is None else (account.api_key, *account.accepted_keys)
    return tuple(SigningKey(environment=environment, secret=secret) for secret in secrets)


def _read(path: Path, environ: Mapping[str, str], faults: list[str]) -> Tenants:
    file = TomlTable(place=(), content=_parse(path, faults), faults=faults)
    if faults:
        return Tenants({})
    file.refuse_unknown(_FILE_KEYS)
    sources = Sources(environ=environ, folder=path.parent, allow_literals=file.flag("allow_literals"))
    listed = file.table("tenants")
    if not file.content.get("tenants"):
        file.fault("tenants", "there is none; begin with a table such as [tenants.acme.sandbox].")
    return Tenants({} if listed is None else dict(_tenants(listed, sources)))


def _parse(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); give the path of the tenants file"
    except UnicodeDecodeError:
        fault = "is not UTF-8 text; save it as such"
    except tomllib.TOMLDecodeError as error:
        fault = f"is not TOML; mend this: {error}"
    except (ValueError, RecursionError):
        fault = "is not TOML that can be read; remove overlong numbers and deep nesting"
    faults.append(f"{path}: {fault}.")
    return {}


def _tenants(listed: TomlTable, sources: Sources) -> Iterator[tuple[str, Tenant]]:
    for name in listed.content:
        if not _NAME.fullmatch(name):
            listed.fault(name, "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.")
        if (table := listed.table(name)) is not None:
            yield name, _tenant(name, table, sources)


def _tenant(name: str, table: TomlTable, sources: Sources) -> Tenant:
    table.refuse_unknown(_TENANT_KEYS)
    accounts = {}
    for environment in Environment:
        if (of_one := table.table(environment)) is not None:
            accounts[environment] = _account(of_one, sources)
    if not accounts and not any(environment in table.content for environment in Environment):
        table.fault("sandbox", "is missing, and so is production; a tenant needs at least one of the two tables.")
    limit = table.positive("ingest_limit")
    relay = table.table("relay")
    return Tenant(
        name=name,
        accounts=MappingProxyType(accounts),
        ingest_limit=limit,
        ingest_burst=_burst(table, limit),
        relay=None if relay is None else read_relay_target(relay, sources),
    )


def _burst(table: TomlTable, limit: float | None) -> int | None:
    burst = table.positive("ingest_burst")
    if burst is not None and "ingest_limit" not in table.content:
        table.fault("ingest_burst", "has no meaning without ingest_limit; set that too, or remove this.")
    if burst is not None and not burst.is_integer():
        table.fault("ingest_burst", "must be a whole number of webhooks.")
    # A second's worth, so that a limit alone behaves as its unit says.
    return None if limit is None else int(burst or ceil(limit))


def _account(table: TomlTable, sources: Sources) -> Account:
    table.refuse_unknown(_ACCOUNT_KEYS)
    nothing = SecretStr("")
    return Account(
        client_id=_required(table, "client_id", sources) or nothing,
        api_key=_required(table, "api_key", sources) or nothing,
        accepted_keys=tuple(_accepted_keys(table, sources)),
        base_url=_base_url(table),
        credentials=MappingProxyType(_credentials(table, sources)),
    )


def _required(table: TomlTable, key: str, sources: Sources) -> SecretStr | None:
    if key not in table.content:
        table.fault(key, "is required and not set.")
    return _secret(table, key, sources)


def _secret(table: TomlTable, key: str, sources: Sources, *, pem: bool = False) -> SecretStr | None:
    text = table.text(key)
    try:
        return None if text is None else resolve(text, sources, pem=pem)
    except BadCredential as error:
        table.fault(key, f"{error}.")
        return None


def _accepted_keys(table: TomlTable, sources: Sources) -> Iterator[SecretStr]:
    for index, text in table.texts("accepted_keys"):
        try:
            yield resolve(text, sources)
        except BadCredential as error:
            table.fault("accepted_keys", f"{error}.", index=index)


def _base_url(table: TomlTable) -> str | None:
    url = table.text("base_url")
    if url is not None and not is_base_url(url):
        table.fault("base_url", f"{BASE_URL_RULE}.")
    return None if url is None else url.rstrip("/")


def _credentials(account: TomlTable, sources: Sources) -> dict[str, SecretStr]:
    found: dict[str, SecretStr] = {}
    for aggregator in AGGREGATORS:
        if (table := account.table(aggregator)) is not None:
            _add_aggregator(table, aggregator, sources, found)
    _add_headers(account, sources, found)
    return found


def _add_aggregator(table: TomlTable, aggregator: str, sources: Sources, found: dict[str, SecretStr]) -> None:
    fields = {credential.field: credential for credential in AGGREGATORS[aggregator]}
    table.refuse_unknown((*fields, "headers"))
    for name, credential in fields.items():
        if (secret := _secret(table, name, sources, pem=credential.pem)) is not None:
            found[credential.header] = secret
    # Headers alone stand for the whole table: the way out on the day when Fuse renames them.
    if set(table.content) != {"headers"}:
        for name, reason in missing_fields(aggregator, table.content):
            table.fault(name, f"{reason}.")
    _add_headers(table, sources, found)


def _add_headers(table: TomlTable, sources: Sources, found: dict[str, SecretStr]) -> None:
    headers = table.table("headers")
    if headers is None:
        return
    if not headers.content:
        table.fault("headers", "is empty; add a header or remove it.")
    for name in headers.content:
        fault = header_name_fault(name)
        if name.lower() in {header.lower() for header in found}:
            fault = "is set already for this account; keep one of the two"
        if fault is not None:
            headers.fault(name, f"{fault}.")
        elif (secret := _secret(headers, name, sources)) is not None:
            found[name] = secret

"""What the fake Fuse checks of a sync call, in this order; pure. Secrets are compared and never repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import SecretStr

from sandbox.answers import Refusal, missing_header_code
from sandbox.calls import connection_text, digest
from schemas.canonical import JsonBody, read_body
from schemas.errors import ConfigurationError, InvalidSignature, Rejected
from schemas.event import Environment
from schemas.record import encode_attribute
from schemas.tenants import Account, Tenants
from schemas.verification import SigningKey, verify

SYNC_PATH = "/v1/financial_connections/sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAccount:
    """A tenant's account in one environment, as the fake Fuse checks calls against it."""

    tenant: str
    environment: str
    keys: tuple[SigningKey, ...]
    credentials: tuple[tuple[str, SecretStr], ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KnownAccounts:
    """All accounts by client id and API key."""

    by_keys: Mapping[tuple[str, str], KnownAccount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """Whose call it is, as far as that can be told, and what is wrong with it. Fields are those of `calls.Call`."""

    tenant: str = ""
    environment: str = ""
    connection: str = ""
    key: str = ""
    digest: str
    refusal: Refusal | None = None


def know(tenants: Tenants) -> KnownAccounts:
    """Index the accounts. Raises ConfigurationError where two share client id and API key."""
    by_keys: dict[tuple[str, str], KnownAccount] = {}
    faults = []
    for name, tenant in tenants.items():
        for environment, account in tenant.accounts.items():
            pair = account.client_id.get_secret_value(), account.api_key.get_secret_value()
            if (other := by_keys.get(pair)) is not None:
                faults.append(
                    f"{name}.{environment}: has the client id and API key of {other.tenant}.{other.environment}; "
                    "the sandbox tells accounts apart by them: give each its own."
                )
            by_keys[pair] = _known(name, environment, account)
    if faults:
        raise ConfigurationError(faults)
    return KnownAccounts(by_keys=by_keys)


def inspect(request: Request, accounts: KnownAccounts) -> Inspected:
    """Find out whose call it is and the first thing that is wrong with it."""
    pair = request.headers.get("Fuse-Client-Id", ""), request.headers.get("Fuse-Api-Key", "")
    account = accounts.by_keys.get(pair)
    body = _read(request.body)
    refusal = _wrong_request(request) or _wrong_account(pair, account)
    if refusal is None and account is not None:
        refusal = _wrong_credentials(request.headers, account) or _wrong_body(request, body, account)
    return Inspected(
        tenant=account.tenant if account else "",
        environment=account.environment if account else "",
        connection=connection_text(body.members.get("financial_connection_id")) if body else "",
        key=encode_attribute(request.headers.get("Idempotency-Key", "")).decode(),
        digest=digest(request.body),
        refusal=refusal,
    )


def _known(name: str, environment: Environment, account: Account) -> KnownAccount:
    # A webhook signed before the keys were rotated is still Fuse's, so keys still accepted count here too.
    secrets = (account.api_key, *account.accepted_keys)
    return KnownAccount(
        tenant=name,
        environment=environment.value,
        keys=tuple(SigningKey(environment=environment, secret=secret) for secret in secrets),
        credentials=tuple(account.credentials.items()),
    )


def _read(body: bytes) -> JsonBody | None:
    try:
        return read_body(body)
    except Rejected:
        return None


def _wrong_request(request: Request) -> Refusal | None:
    if request.path != SYNC_PATH:
        return _refusal(HTTPStatus.NOT_FOUND, "not_found", "other", f"There is only POST {SYNC_PATH} here.")
    if request.method != "POST":
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "bad_request", "client_error", "Use POST.")
    content_type = request.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _bad_request("request_content_type_invalid", "Content-Type has to be application/json.")
    return None


def _wrong_account(pair: tuple[str, str], account: KnownAccount | None) -> Refusal | None:
    if not all(pair):
        details = "The headers Fuse-Client-Id and Fuse-Api-Key are both needed."
        return _refusal(HTTPStatus.UNAUTHORIZED, "auth_error", "invalid_headers", details)
    if account is None:
        details = "No account has this Fuse-Client-Id and Fuse-Api-Key."
        return _refusal(HTTPStatus.UNAUTHORIZED, "auth_error", "organization_not_found", details)
    return None


def _wrong_credentials(headers: Mapping[str, str], account: KnownAccount) -> Refusal | None:
    for name, secret in account.credentials:
        given = headers.get(name)
        if given is None:
            return _credential_refusal(HTTPStatus.BAD_REQUEST, "bad_request", missing_header_code(name), name)
        if given != secret.get_secret_value():
            code = _WRONG_VALUE.get(name.lower(), "invalid_headers")
            return _credential_refusal(HTTPStatus.UNAUTHORIZED, "auth_error", code, name)
    return None


_WRONG_VALUE = {"teller-certificate": "invalid_certificate", "teller-private-key": "invalid_private_key"}


def _wrong_body(request: Request, body: JsonBody | None, account: KnownAccount) -> Refusal | None:
    signature = request.headers.get("Fuse-Verification")
    if not signature:
        return _bad_request("missing_fuse_verification_header", "The header Fuse-Verification is needed.")
    if not request.body:
        return _bad_request("request_body_missing", "The body has to be that of the webhook.")
    if body is None:
        return _bad_request("request_body_invalid_json", "The body has to be JSON, as the webhook's is.")
    if not _is_signed(body, signature, account):
        return _bad_request("webhook_error", "Fuse-Verification does not fit the body and this account's keys.")
    if not body.members:
        return _bad_request("invalid_request_body", "The body has to be an object, as the webhook's is.")
    return None


def _is_signed(body: JsonBody, signature: str, account: KnownAccount) -> bool:
    try:
        verify(body, signature.encode("utf-8", "surrogateescape"), account.keys)
    except InvalidSignature:
        return False
    return True


def _bad_request(code: str, details: str) -> Refusal:
    return _refusal(HTTPStatus.BAD_REQUEST, "bad_request", code, details)


def _refusal(status: int, type_: str, code: str, details: str) -> Refusal:
    return Refusal(status=status, type=type_, code=code, details=details)


def _credential_refusal(status: int, type_: str, code: str, header: str) -> Refusal:
    return Refusal(
        status=status,
        type=type_,
        code=code,
        details=f"The header {header} has to be there, with this account's value.",
        aggregator=header.partition("-")[0].lower(),
    )

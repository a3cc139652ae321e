"""The aggregators that Fuse unifies, and the headers that carry a customer's credentials for each: data.

Header names are those of the security schemes in Fuse's OpenAPI document, and of its official clients. Sophtron is in
no such document: its two names are inferred from Fuse's error codes `missing_sophtron_user_id_header` and
`missing_sophtron_access_key_header`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential: its key in the tenants file, and the header that carries it.

    A required one must be given; those that share a `pair` are given together or not at all; the others are free.
    A `pem` one is sent as base64 of the whole PEM file, on one line.
    """

    field: str
    header: str
    required: bool = True
    pair: str = ""
    pem: bool = False


def _credentials(prefix: str, *names: str) -> tuple[Credential, ...]:
    return tuple(_credential(prefix, name) for name in names)


def _credential(prefix: str, name: str, *, required: bool = True, pair: str = "", pem: bool = False) -> Credential:
    field = name.lower().replace("-", "_")
    return Credential(field=field, header=f"{prefix}-{name}", required=required, pair=pair, pem=pem)


AGGREGATORS: Mapping[str, tuple[Credential, ...]] = MappingProxyType(
    {
        "akoya": _credentials("Akoya", "Client-Id", "Client-Secret"),
        "basiq": _credentials("Basiq", "Api-Key"),
        "belvo": _credentials("Belvo", "Secret-Id", "Secret-Password"),
        "finicity": _credentials("Finicity", "Partner-Id", "App-Key", "Partner-Secret"),
        "finverse": (
            *_credentials("Finverse", "Client-Id", "Client-Secret"),
            _credential("Finverse", "Redirect-Uri", required=False),
        ),
        "flinks": (
            _credential("Flinks", "Ca-Customer-Id", required=False, pair="ca"),
            _credential("Flinks", "Ca-Instance-Id", required=False, pair="ca"),
            _credential("Flinks", "Us-Customer-Id", required=False, pair="us"),
            _credential("Flinks", "Us-Instance-Id", required=False, pair="us"),
        ),
        "mono": _credentials("Mono", "Public-Key", "Secret-Key", "Webhook-Secret"),
        "mx": _credentials("Mx", "Client-Id", "Api-Key"),
        "plaid": _credentials("Plaid", "Client-Id", "Secret"),
        "saltedge": _credentials("SaltEdge", "App-Id", "App-Secret"),
        "snaptrade": _credentials("Snaptrade", "Client-Id", "Consumer-Key"),
        "sophtron": _credentials("Sophtron", "User-Id", "Access-Key"),
        "teller": (
            _credential("Teller", "Application-Id"),
            _credential("Teller", "Certificate", pem=True),
            _credential("Teller", "Private-Key", pem=True),
            _credential("Teller", "Signing-Secret"),
            _credential("Teller", "Token-Signing-Key", required=False),
        ),
        "truelayer": (
            *_credentials("TrueLayer", "Client-Id", "Client-Secret"),
            _credential("TrueLayer", "Redirect-Uri", required=False),
        ),
    }
)
"""Every aggregator by its name in Fuse's API, with its credentials."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OURS = frozenset({"fuse-client-id", "fuse-api-key", "fuse-verification", "idempotency-key", "user-agent"})
_TRANSPORT = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect"}
    | {"host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


def missing_fields(aggregator: str, given: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name each credential that is missing beside those `given`, with the reason why it is needed."""
    credentials = AGGREGATORS[aggregator]
    partners = {credential.pair: credential.field for credential in credentials if credential.field in given}
    if not partners and not any(credential.required for credential in credentials):
        yield (
            credentials[0].field,
            f"is not set, nor is any other credential of {aggregator}; set one or remove the table",
        )
    for credential in credentials:
        if credential.field in given:
            continue
        if credential.required:
            yield credential.field, f"is required for {aggregator} and not set"
        elif credential.pair and credential.pair in partners:
            yield credential.field, f"is required beside {partners[credential.pair]} and not set"


def header_name_fault(name: str) -> str | None:
    """Say what is wrong with `name` for a header that a tenant adds (token of RFC 9110, section 5.6.2), if anything."""
    if not _HEADER_NAME.fullmatch(name):
        return "is not a header name: use letters, digits and '-', at most 100 of them"
    if name.lower() in _OURS | _TRANSPORT:
        return "is a header that fuse-sync sets itself: remove it"
    return None

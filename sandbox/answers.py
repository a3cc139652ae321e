"""What the fake Fuse answers, in Fuse's shapes.

The shapes, types and codes are those of Fuse's published SDKs. Which status goes with which code Fuse does not
document: the statuses here, and those that `refusal_for_status` pairs with codes, are assumptions.
"""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

_CREDENTIALS = """
    plaid-client-id plaid-secret mx-client-id mx-api-key teller-private-key teller-certificate
    teller-application-id teller-signing-secret snaptrade-client-id snaptrade-consumer-key flinks-ca-customer-id
    flinks-us-customer-id flinks-ca-instance-id flinks-us-instance-id mono-public-key mono-secret-key
    mono-webhook-secret truelayer-client-id truelayer-client-secret truelayer-redirect-uri finverse-client-id
    finverse-client-secret finverse-redirect-uri basiq-api-key belvo-secret-id belvo-secret-password
    finicity-partner-id finicity-app-key finicity-partner-secret akoya-client-id akoya-client-secret saltedge-app-id
    saltedge-app-secret sophtron-user-id sophtron-access-key
"""
_KNOWN_HEADERS = frozenset(_CREDENTIALS.split())
"""The credentials for whose absence Fuse has a code of its own."""

_BY_STATUS: dict[int, tuple[str, str]] = {
    HTTPStatus.UNAUTHORIZED: ("auth_error", "client_error"),
    HTTPStatus.FORBIDDEN: ("auth_error", "client_error"),
    HTTPStatus.NOT_FOUND: ("not_found", "entity_not_found"),
    HTTPStatus.REQUEST_TIMEOUT: ("bad_request", "timeout"),
    HTTPStatus.TOO_MANY_REQUESTS: ("bad_request", "aggregator_rate_limit_error"),
    HTTPStatus.GATEWAY_TIMEOUT: ("server_error", "timeout"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error of Fuse's. `details` names what to mend and never a secret; `aggregator` is named where one is meant."""

    status: int
    type: str
    code: str
    details: str
    source: str = "internal"
    aggregator: str | None = None


def success(request_id: str) -> bytes:
    """Write the answer to a sync that worked."""
    return orjson.dumps({"message": "Financial connection data synced successfully.", "request_id": request_id})


def failure(refusal: Refusal, request_id: str) -> bytes:
    """Write an error in Fuse's shape."""
    error: dict[str, object] = {
        "request_id": request_id,
        "title": refusal.code.replace("_", " ").capitalize(),
        "details": refusal.details,
        "code": refusal.code,
        "type": refusal.type,
        "source": refusal.source,
    }
    if refusal.aggregator is not None:
        error["data"] = {"aggregator": refusal.aggregator, "errors": []}
    return orjson.dumps(error)


def refusal_for_status(
    status: int, *, type_: str | None = None, code: str | None = None, source: str = "internal"
) -> Refusal:
    """Give the error that a failure plan asks for, with a type and code that fit the status where it names none."""
    fallback = (
        ("server_error", "internal_server_error")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else ("bad_request", "client_error")
    )
    fitting_type, fitting_code = _BY_STATUS.get(status, fallback)
    return Refusal(
        status=status,
        type=type_ or fitting_type,
        code=code or fitting_code,
        details="The sandbox's failure plan asks for this error.",
        source=source,
    )


def missing_header_code(header: str) -> str:
    """Name the code for an absent credential: its own where Fuse has one."""
    name = header.lower()
    return f"missing_{name.replace('-', '_')}_header" if name in _KNOWN_HEADERS else "invalid_headers"

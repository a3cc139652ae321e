"""Who sent the webhook: the signature it bears, and whose key made it."""

import secrets
from typing import Final, NamedTuple

from multidict import CIMultiDictProxy
from pydantic import SecretStr

from schemas.canonical import JsonBody
from schemas.errors import InvalidSignature
from schemas.event import Environment
from schemas.tenants import Tenant
from schemas.verification import SigningKey, verify

HEADER: Final = "fuse-verification"

_NOBODY: Final = (SigningKey(environment=Environment.PRODUCTION, secret=SecretStr(secrets.token_hex())),)
"""Stands in for the keys that are not there, so that a refusal costs the same work whether the tenant exists or not."""


class Sender(NamedTuple):
    """A tenant, the environment whose key signed the body, and the signature as it was sent."""

    tenant: Tenant
    environment: Environment
    signature: str


def claimed_signature(headers: CIMultiDictProxy[str]) -> str:
    """Give the value of the `fuse-verification` header. Raises InvalidSignature unless it stands there once."""
    values = headers.getall(HEADER, ())
    if len(values) != 1:
        raise InvalidSignature(f"the request has {len(values)} {HEADER} headers: send exactly one")
    return values[0]


def verify_sender(tenant: Tenant | None, body: JsonBody, signature: str) -> Sender:
    """Find whose key signed the body. Raises InvalidSignature, for a tenant that does not exist too."""
    keys = tenant.signing_keys(body.members.get("environment")) if tenant else ()
    signer = verify(body, signature.encode("utf-8", "surrogateescape"), keys or _NOBODY)
    if tenant is None:
        raise InvalidSignature("there is no such tenant: use the name of one in the tenants file")
    return Sender(tenant, signer.environment, signature)

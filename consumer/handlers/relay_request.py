"""The relayed event as it goes over the wire: a Standard Webhooks request in the CloudEvents binary binding. Pure."""

import base64
import hmac
from collections.abc import Sequence

from pydantic import SecretStr

from consumer.handlers.fuse_request import USER_AGENT
from consumer.handlers.http_client import Post
from schemas.event import Event
from schemas.record import encode_attribute, to_record
from schemas.relay_target import RelayTarget, signing_key

_ATTRIBUTE = "ce_"
_KEPT_BACK = "ce_fuseverification"
"""Made with the tenant's Fuse API key, for Fuse: whoever has it could send this webhook to us again."""


def relay_request(event: Event, target: RelayTarget, idempotency_key: str, seconds: int) -> Post:
    """Make the request for an event: its body as received, signed at `seconds` since the epoch.

    `webhook-id` is the same for every attempt, so that the receiver can tell a repeat.
    """
    identity = encode_attribute(idempotency_key).decode()
    signatures = sign(event.body, identity, seconds, target.secrets)
    return Post(
        url=target.url,
        headers=_attributes(event)
        | {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": identity,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signatures,
        },
        body=event.body,
    )


def sign(body: bytes, identity: str, seconds: int, secrets: Sequence[SecretStr]) -> str:
    """Sign as Standard Webhooks do: HMAC-SHA256 over `id.timestamp.body`, one signature for each secret."""
    content = f"{identity}.{seconds}.".encode() + body
    digests = (hmac.digest(signing_key(secret), content, "sha256") for secret in secrets)
    return " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)


def _attributes(event: Event) -> dict[str, str]:
    """Give the event's attributes under their names in HTTP (CloudEvents HTTP binding 1.0.2, section 3.1.3)."""
    return {
        "ce-" + name.removeprefix(_ATTRIBUTE): value.decode()
        for name, value in to_record(event).headers
        if name.startswith(_ATTRIBUTE) and name != _KEPT_BACK and value is not None
    }

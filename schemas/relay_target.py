"""Where a tenant's events are relayed to, and the secrets that sign them (https://www.standardwebhooks.com)."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from schemas.credential import BadCredential, Sources, resolve
from schemas.toml_table import TomlTable
from schemas.urls import BASE_URL_RULE, is_base_url

SIGNING_SECRET_RULE = "must be 24 to 64 bytes in base64, with whsec_ before it or without"  # noqa: S105 - no secret

_KEYS = ("url", "secret", "previous_secrets")
_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTarget:
    """A receiver. Each of `secrets` signs every request, the current one first, so that they can be rotated."""

    url: str
    secrets: tuple[SecretStr, ...]


def signing_key(secret: SecretStr) -> bytes:
    """Decode a signing secret. Raises ValueError for one that breaks `SIGNING_SECRET_RULE`, without its value."""
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(SIGNING_SECRET_RULE) from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(SIGNING_SECRET_RULE)
    return key


def read_relay_target(table: TomlTable, sources: Sources) -> RelayTarget:
    """Read a tenant's table `relay`; what is wrong with it is noted in the table."""
    table.refuse_unknown(_KEYS)
    for key in ("url", "secret"):
        if key not in table.content:
            table.fault(key, "is required and not set.")
    url = table.text("url")
    if url is not None and not is_base_url(url):
        table.fault("url", f"{BASE_URL_RULE}.")
    return RelayTarget(url=url or "", secrets=tuple(_secrets(table, sources)))


def _secrets(table: TomlTable, sources: Sources) -> Iterator[SecretStr]:
    current = table.text("secret")
    given: list[tuple[str, int | None, str]] = [] if current is None else [("secret", None, current)]
    given += [("previous_secrets", index, text) for index, text in table.texts("previous_secrets")]
    for key, index, text in given:
        try:
            secret = resolve(text, sources)
            signing_key(secret)
            yield secret
        except (BadCredential, ValueError) as error:
            table.fault(key, f"{error}.", index=index)

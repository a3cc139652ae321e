"""The record: an event on Kafka, in the CloudEvents 1.0 binary binding, both ways.

Attribute values come from outside and may hold any text, so they are percent-encoded as CloudEvents asks of header
values (HTTP binding 1.0.2, section 3.1.3.2): what is not printable ASCII, the space, `"` and `%`. The encoding is
injective and never fails, lone surrogates included.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from schemas.errors import UnreadableRecord
from schemas.event import TENANT_NAME, Environment, Event
from schemas.structs import struct

UNTYPED = "fuse.untyped"
"""`ce_type` must not be empty (CloudEvents 1.0, section 3.1); this stands for a body that names no type."""

_SPEC_VERSION = b"1.0"
_SPEC_VERSION_HEADER = ("ce_specversion", _SPEC_VERSION)
_CONTENT_TYPE_HEADER = ("content-type", b"application/json")
_ORIGINS = 4096
"""Tenants with their environments whose constant headers are remembered; a few hundred bytes each."""
_PLAIN = re.compile(r"[!#$&-~]*")
_PLAIN_BYTES = re.compile(_PLAIN.pattern.encode())
_SENDABLE = re.compile(r"[!-~]+")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_KNOWN_HEADERS = frozenset(
    {
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "ce_tenant", "ce_environment"),
        *("ce_fuseverification", "ce_subject", "ce_aggregator", "traceparent", "ce_generation"),
        *("ce_fusegroup", "ce_fusereplay"),
    }
)
_TENANT = re.compile(TENANT_NAME)
_GENERATION = re.compile(r"[1-9][0-9]{0,8}")
_EPOCH_YEAR = 1970

Header = tuple[str, bytes | None]
Headers = Sequence[Header]


class Record(NamedTuple):
    """What is produced: key, value and headers, all bytes. A tuple, since one is made for every event."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


@struct
class ReceivedRecord:
    """What was consumed, with its coordinates. `timestamp` is the log-append time in seconds since the epoch."""

    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Count the bytes of key, value and header values: what it costs to hold this record in memory."""
        return size_of(self)


def size_of(record: Record | ReceivedRecord) -> int:
    """Count the bytes of key, value and header values: what it costs to hold a record in memory."""
    return len(record.key or b"") + len(record.value or b"") + sum([len(value or b"") for _, value in record.headers])


def encode_attribute(text: str) -> bytes:
    """Percent-encode `text` so that it can stand in a header or a key."""
    if _PLAIN.fullmatch(text):
        return text.encode("ascii")
    return quote(text.encode("utf-8", "surrogatepass"), safe=_SAFE).encode("ascii")


def _encode_all(*texts: str) -> list[bytes]:
    """Encode attributes. One look at all of them costs less than one at each, and almost always it is enough."""
    if _PLAIN.fullmatch("".join(texts)):
        return [text.encode("ascii") for text in texts]
    return [encode_attribute(text) for text in texts]


def decode_attribute(name: str, value: bytes) -> str:
    """Undo `encode_attribute`. Raises UnreadableRecord("bad-attribute")."""
    try:
        if b"%" not in value:
            return value.decode("ascii")
        return unquote_to_bytes(value).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise UnreadableRecord("bad-attribute", f"header {name} is not percent-encoded UTF-8") from None


def record_key(tenant: str, connection: str) -> bytes:
    """Name the lane: `tenant/connection`. A tenant's name holds no slash, so no two pairs share a key."""
    return f"{tenant}/".encode() + encode_attribute(connection)


def to_record(event: Event) -> Record:
    """Write an event as a record. Never fails: what is verified is always published."""
    source, tenant, environment = _origin(event.tenant, event.environment)
    event_id, kind, verification, connection, aggregator = _encode_all(
        event.id, event.type or UNTYPED, event.verification, event.connection, event.aggregator
    )
    headers: list[Header] = [
        _SPEC_VERSION_HEADER,
        ("ce_id", event_id),
        source,
        ("ce_type", kind),
        ("ce_time", _format_time(event.received_at)),
        _CONTENT_TYPE_HEADER,
        tenant,
        environment,
        ("ce_fuseverification", verification),
    ]
    if connection:
        headers.append(("ce_subject", connection))
    if aggregator:
        headers.append(("ce_aggregator", aggregator))
    if event.traceparent is not None:
        headers.append(("traceparent", encode_attribute(event.traceparent)))
    if event.generation:
        headers.append(("ce_generation", str(event.generation).encode()))
    if event.group is not None:
        headers.append(("ce_fusegroup", encode_attribute(event.group)))
    if event.replay is not None:
        headers.append(("ce_fusereplay", encode_attribute(event.replay)))
    headers.extend(event.extra_headers)
    return Record(b"%b/%b" % (tenant[1], connection), event.body, tuple(headers))


@lru_cache(maxsize=_ORIGINS)
def _origin(tenant: str, environment: Environment) -> tuple[Header, tuple[str, bytes], Header]:
    """Write what is the same for all events of a tenant in one environment: source, tenant and environment."""
    return (
        ("ce_source", f"/tenants/{tenant}/{environment}".encode()),
        ("ce_tenant", tenant.encode()),
        ("ce_environment", environment.encode()),
    )


def from_record(record: ReceivedRecord) -> Event:
    """Read an event from a record.

    Raises UnreadableRecord with one of the reasons `no-body`, `repeated-header`, `not-cloudevents`,
    `unknown-version`, `missing-attribute`, `bad-attribute`, `bad-environment`, `bad-time`, `bad-generation`,
    `source-mismatch` and `key-mismatch`.
    """
    if record.value is None:
        raise UnreadableRecord("no-body", "the record has no value")
    headers = _unique_headers(record.headers)
    _check_version(headers)
    origin = (_filled(headers, "ce_source"), _filled(headers, "ce_tenant"), _filled(headers, "ce_environment"))
    tenant, environment = _read_origin(*origin)
    named_type = _required(headers, "ce_type")
    event = Event(
        id=_sendable(headers, "ce_id"),
        tenant=tenant,
        environment=environment,
        type="" if named_type == UNTYPED else named_type,
        connection=_optional(headers, "ce_subject") or "",
        aggregator=_optional(headers, "ce_aggregator") or "",
        received_at=_time(_required(headers, "ce_time")),
        verification=_sendable(headers, "ce_fuseverification"),
        body=record.value,
        generation=_generation(_optional(headers, "ce_generation")),
        traceparent=_optional(headers, "traceparent"),
        group=_optional(headers, "ce_fusegroup"),
        replay=_optional(headers, "ce_fusereplay"),
        extra_headers=_extra(headers),
    )
    if record.key != record_key(tenant, event.connection):
        raise UnreadableRecord("key-mismatch", "the key is not ce_tenant/ce_subject, so its lane would be wrong")
    return event


def _optional(headers: Mapping[str, bytes | None], name: str) -> str | None:
    value = headers.get(name)
    return None if value is None else decode_attribute(name, value)


def _required(headers: Mapping[str, bytes | None], name: str) -> str:
    return decode_attribute(name, _filled(headers, name))


def _filled(headers: Mapping[str, bytes | None], name: str) -> bytes:
    value = headers.get(name)
    if not value:
        raise UnreadableRecord("missing-attribute", f"header {name} is missing or empty")
    return value


def _sendable(headers: Mapping[str, bytes | None], name: str) -> str:
    """Read what handlers send on in a header of their own: nothing that could break out of one."""
    value = _filled(headers, name)
    if _PLAIN_BYTES.fullmatch(value):
        return value.decode("ascii")
    text = decode_attribute(name, value)
    if not _SENDABLE.fullmatch(text):
        raise UnreadableRecord("bad-attribute", f"header {name} holds characters that no HTTP header can carry")
    return text


def _unique_headers(headers: Headers) -> dict[str, bytes | None]:
    unique = dict(headers)
    if len(unique) != len(headers):
        raise UnreadableRecord("repeated-header", "a header stands twice, so what the record says is ambiguous")
    return unique


def _extra(headers: Mapping[str, bytes | None]) -> tuple[tuple[str, bytes | None], ...]:
    if headers.keys() <= _KNOWN_HEADERS:
        return ()
    return tuple((name, value) for name, value in headers.items() if name not in _KNOWN_HEADERS)


def _check_version(headers: dict[str, bytes | None]) -> None:
    version = headers.get("ce_specversion")
    if version is None:
        raise UnreadableRecord("not-cloudevents", "header ce_specversion is missing: not a CloudEvents binary record")
    if version != _SPEC_VERSION:
        raise UnreadableRecord("unknown-version", "ce_specversion is not 1.0")


@lru_cache(maxsize=_ORIGINS)
def _read_origin(source: bytes, tenant: bytes, environment: bytes) -> tuple[str, Environment]:
    """Read what is the same for all events of a tenant in one environment."""
    name = decode_attribute("ce_tenant", tenant)
    if not _TENANT.fullmatch(name):
        raise UnreadableRecord("bad-attribute", "header ce_tenant is no tenant's name")
    try:
        place = Environment(decode_attribute("ce_environment", environment))
    except ValueError:
        raise UnreadableRecord("bad-environment", "ce_environment is neither sandbox nor production") from None
    if decode_attribute("ce_source", source) != f"/tenants/{name}/{place}":
        raise UnreadableRecord("source-mismatch", "ce_source names another tenant or environment than its own headers")
    return name, place


def _format_time(time: datetime) -> bytes:
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    second = _format_second((utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second))
    return b"%b.%06dZ" % (second, utc.microsecond) if utc.microsecond else second + b"Z"


@lru_cache(maxsize=4)
def _format_second(fields: tuple[int, int, int, int, int, int]) -> bytes:
    """Write what is the same for all times within one second."""
    return datetime(*fields).isoformat().encode()  # noqa: DTZ001 - the caller writes the zone


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableRecord("bad-time", "ce_time is not an RFC 3339 time") from None
    if time.tzinfo is None:
        raise UnreadableRecord("bad-time", "ce_time has no time zone")
    try:
        utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    except OverflowError:
        raise UnreadableRecord("bad-time", "ce_time lies beyond the years that can be written in UTC") from None
    if utc.year < _EPOCH_YEAR:
        raise UnreadableRecord("bad-time", "ce_time is before 1970")
    return utc


def _generation(text: str | None) -> int:
    if text is None:
        return 0
    if not _GENERATION.fullmatch(text):
        raise UnreadableRecord("bad-generation", "ce_generation is not a positive decimal number")
    return int(text)

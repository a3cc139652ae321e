"""A call as the fake Fuse recorded it, and how it travels: JSON lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import orjson
from pydantic import TypeAdapter

from schemas.record import encode_attribute


class Ending(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    GONE = "gone"
    """The client gave up or died before the answer."""
    HUNG = "hung"
    """The plan kept it waiting until the client gave up."""
    RESET = "reset"
    """The plan broke its connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. Times are monotonic seconds of the fake Fuse's process; the end is before the client can see it.

    `tenant` and `environment` are empty where the keys are nobody's, `connection` and `key` (the idempotency key)
    where the call names none; both are percent-encoded as in record keys, which changes no sane one. `body` is a short
    digest. `attempt` counts the calls of one key from 1. An open call has neither `ended` nor `ending`. `code` is the
    error's, of Fuse's codes.
    """

    number: int
    arrived: float
    tenant: str
    environment: str
    connection: str
    body: str
    key: str
    attempt: int
    ended: float | None = None
    ending: Ending | None = None
    status: int | None = None
    code: str | None = None

    @property
    def synced(self) -> bool:
        """Say whether it was answered 200."""
        return self.status == 200  # noqa: PLR2004 - the one status that means synced

    @property
    def event(self) -> str:
        """Name the event within its tenant: by the idempotency key, or by connection and body where there is none."""
        return event_name(self.key, self.connection, self.body)

    @property
    def lane(self) -> tuple[str, str]:
        """Name the lane: tenant and connection."""
        return self.tenant, self.connection


_LINE: TypeAdapter[Call] = TypeAdapter(Call)


def digest(body: bytes) -> str:
    """Tell bodies apart: 16 hex digits."""
    return sha256(body).hexdigest()[:16]


def event_name(key: str, connection: str, body: str) -> str:
    """Name an event within its tenant: by its idempotency key, or by connection and body where it has none."""
    return key or f"{connection} {body}"


def connection_text(connection: object) -> str:
    """Write a body's connection as record keys do; empty where it is no string."""
    return encode_attribute(connection).decode() if isinstance(connection, str) else ""


def write_calls(calls: Iterable[Call]) -> bytes:
    """Write one JSON object a line."""
    return b"".join(orjson.dumps(call, option=orjson.OPT_APPEND_NEWLINE) for call in calls)


def read_calls(lines: bytes) -> list[Call]:
    """Read what `write_calls` wrote. Raises pydantic's ValidationError for anything else."""
    return [_LINE.validate_json(line) for line in lines.splitlines()]

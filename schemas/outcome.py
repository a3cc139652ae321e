"""How an event ends: what handlers return, and the record of it on the outcomes topic."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.errors import UnreadableRecord

VERSION = 1
"""Version of the records below. A takeover stops at a version it does not know rather than guess."""

MOST = 2**63 - 1
"""The highest offset, epoch or due time in a record: what Kafka counts with, and what the scratch can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The handler did what the event asks for. `status` is the HTTP status of the call, where there was one."""

    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The handler has nothing to do for this event; `reason` is a stable word for logs and counters."""

    reason: str


HandlerResult = Applied | Ignored


class OutcomeKind(StrEnum):
    """The terminal outcomes. Every accepted event reaches one of them, per group and generation."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    DEAD = "dead"


class Ended(BaseModel):
    """One event ended: a fact, whoever wrote it. Times are milliseconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    record: Literal["ended"] = "ended"
    v: int = Field(default=VERSION, description="Version of this record.")
    offset: int = Field(ge=0, le=MOST, description="The event's offset in the source partition of the same number.")
    id: str = Field(description="The event's `ce_id`.")
    generation: int = Field(default=0, ge=0, description="The event's generation.")
    outcome: OutcomeKind = Field(description="How it ended.")
    reason: str | None = Field(default=None, description="Why, for every outcome but applied.")
    attempts: int = Field(ge=0, description="Calls made.")
    status: int | None = Field(default=None, description="HTTP status of the last call, where there was one.")
    received: int = Field(ge=0, description="When the ingress received the webhook.")
    called: int | None = Field(default=None, ge=0, description="When the first call started.")
    ended: int = Field(ge=0, description="When it ended.")
    epoch: int = Field(ge=0, le=MOST, description="The takeover under which it ended.")
    member: str = Field(description="The member that ended it.")


class Taken(BaseModel):
    """A member took the partition over: the mark up to which it reads back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    record: Literal["taken"] = "taken"
    v: int = Field(default=VERSION, description="Version of this record.")
    epoch: int = Field(ge=1, le=MOST, description="The number of this takeover.")
    member: str = Field(description="The member that took over.")


OutcomeRecord = Annotated[Ended | Taken, Field(discriminator="record")]
_ADAPTER: TypeAdapter[Ended | Taken] = TypeAdapter(OutcomeRecord)


def write_outcome(record: Ended | Taken) -> bytes:
    """Write a record of the outcomes topic; what is absent, or a generation of 0, is left out to keep it small."""
    is_first = isinstance(record, Ended) and not record.generation
    return record.model_dump_json(exclude_none=True, exclude={"generation"} if is_first else None).encode()


def read_outcome(value: bytes | None) -> Ended | Taken:
    """Read a record of the outcomes topic. Raises UnreadableRecord("bad-outcome" or "unknown-version")."""
    try:
        record = _ADAPTER.validate_json(value or b"")
    except ValidationError as error:
        raise UnreadableRecord("bad-outcome", f"not an outcome record: {error.error_count()} faults") from None
    if record.v > VERSION:
        raise UnreadableRecord("unknown-version", f"outcome record of version {record.v}; this release knows {VERSION}")
    return record

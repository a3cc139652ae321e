"""How an event ends: what handlers return, and the record of it on the outcomes topic."""

from enum import StrEnum
from typing import Annotated, Literal

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from schemas.errors import UnreadableRecord
from schemas.structs import present, struct

VERSION = 1
"""Version of the records below. A takeover stops at a version it does not know rather than guess."""

MOST = 2**63 - 1
"""The highest offset, epoch or due time in a record: what Kafka counts with, and what the scratch can hold."""


@struct
class Applied:
    """The handler did what the event asks for. `status` is the HTTP status of the call, where there was one."""

    status: int | None = None


@struct
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


@struct
class Ended:
    """One event ended: a fact, whoever wrote it. Times are milliseconds since the epoch."""

    record: Literal["ended"] = "ended"
    v: Annotated[int, Field(description="Version of this record.")] = VERSION
    offset: Annotated[
        int, Field(ge=0, le=MOST, description="The event's offset in the source partition of the same number.")
    ]
    id: Annotated[str, Field(description="The event's `ce_id`.")]
    generation: Annotated[int, Field(ge=0, description="The event's generation.")] = 0
    outcome: Annotated[OutcomeKind, Field(description="How it ended.")]
    reason: Annotated[str | None, Field(description="Why, for every outcome but applied.")] = None
    attempts: Annotated[int, Field(ge=0, description="Calls made.")]
    status: Annotated[int | None, Field(description="HTTP status of the last call, where there was one.")] = None
    received: Annotated[int, Field(ge=0, description="When the ingress received the webhook.")]
    called: Annotated[int | None, Field(ge=0, description="When the first call started.")] = None
    ended: Annotated[int, Field(ge=0, description="When it ended.")]
    epoch: Annotated[int, Field(ge=0, le=MOST, description="The takeover under which it ended.")]
    member: Annotated[str, Field(description="The member that ended it.")]


@struct
class Taken:
    """A member took the partition over: the mark up to which it reads back."""

    record: Literal["taken"] = "taken"
    v: Annotated[int, Field(description="Version of this record.")] = VERSION
    epoch: Annotated[int, Field(ge=1, le=MOST, description="The number of this takeover.")]
    member: Annotated[str, Field(description="The member that took over.")]


OutcomeRecord = Annotated[Ended | Taken, Field(discriminator="record")]
_ADAPTER: TypeAdapter[Ended | Taken] = TypeAdapter(OutcomeRecord)


def write_outcome(record: Ended | Taken) -> bytes:
    """Write a record of the outcomes topic; what is absent, or a generation of 0, is left out to keep it small."""
    written = present(record)
    if written.get("generation") == 0:
        del written["generation"]
    return orjson.dumps(written)


def read_outcome(value: bytes | None) -> Ended | Taken:
    """Read a record of the outcomes topic. Raises UnreadableRecord("bad-outcome" or "unknown-version")."""
    try:
        record = _ADAPTER.validate_json(value or b"")
    except ValidationError as error:
        raise UnreadableRecord("bad-outcome", f"not an outcome record: {error.error_count()} faults") from None
    if record.v > VERSION:
        raise UnreadableRecord("unknown-version", f"outcome record of version {record.v}; this release knows {VERSION}")
    return record

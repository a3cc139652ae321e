"""The parked topic: a journal of events that wait, and of takeovers.

Every record carries its note in the header `fuse_parked`, as JSON; all else is that of the event's own record. Only
the last header of that name counts: the one before it would be part of the event's record.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from schemas.errors import UnreadableRecord
from schemas.outcome import MOST, Taken
from schemas.record import ReceivedRecord, Record
from schemas.structs import present, struct

VERSION = 1
"""Version of the notes. A takeover stops at a version it does not know rather than guess."""

HEADER = "fuse_parked"


class Why(StrEnum):
    """Why an event waits."""

    FAILED = "failed"
    BEHIND = "behind"
    LANE_FULL = "lane_full"
    TENANT_FULL = "tenant_full"
    DESTINATION_FULL = "destination_full"
    MISCONFIGURED = "misconfigured"


@struct
class Park:
    """An event waits here: for its next attempt, behind its lane, or for room. Times: milliseconds since the epoch."""

    record: Literal["park"] = "park"
    v: Annotated[int, Field(description="Version of this note.")] = VERSION
    epoch: Annotated[
        int,
        Field(ge=1, le=MOST, description="The takeover under which it was parked; void once a later one is marked."),
    ]
    offset: Annotated[
        int,
        Field(ge=0, le=MOST, description="The event's offset in the source partition: names it, and orders its lane."),
    ]
    id: Annotated[str, Field(description="The event's `ce_id`.")]
    due: Annotated[
        int,
        Field(ge=0, le=MOST, description="Not to be called before; 0 for an event that only waits behind its lane."),
    ]
    attempts: Annotated[int, Field(ge=0, le=MOST, description="Calls made so far.")] = 0
    turns: Annotated[
        int, Field(ge=0, le=MOST, description="Calls made so far from here, as opposed to in the lane.")
    ] = 0
    called: Annotated[int | None, Field(ge=0, le=MOST, description="When the first call started.")] = None
    since: Annotated[int, Field(ge=0, le=MOST, description="When the event was first parked.")]
    reason: Annotated[
        Why,
        Field(
            description="Why it waits: its last call failed, an earlier event of its lane is parked, its lane, its "
            "tenant or a destination that is down has more than its share of a member's memory, or its tenant is "
            "misconfigured."
        ),
    ]
    error: Annotated[str | None, Field(description="What the last call failed with.")] = None


@struct
class Settle:
    """An event that was parked has ended, and its outcome is durable: a fact, whoever wrote it."""

    record: Literal["settle"] = "settle"
    v: Annotated[int, Field(description="Version of this note.")] = VERSION
    offset: Annotated[int, Field(ge=0, le=MOST, description="The event's offset in the source partition.")]


ParkedNote = Annotated[Park | Settle | Taken, Field(discriminator="record")]
_ADAPTER: TypeAdapter[Park | Settle | Taken] = TypeAdapter(ParkedNote)


def write_note(note: Park | Settle | Taken, event: Record | None = None) -> Record:
    """Write a record of the parked topic; a park comes with the record of its event."""
    header = (HEADER, orjson.dumps(present(note)))
    if event is None:
        return Record(key=b"", value=None, headers=(header,))
    return Record(key=event.key, value=event.value, headers=(*event.headers, header))


def read_note(record: ReceivedRecord) -> tuple[Park | Settle | Taken, Record]:
    """Read a record of the parked topic: its note, and what is left when that is taken off.

    Raises UnreadableRecord("bad-note" or "unknown-version").
    """
    at = _last(record.headers)
    try:
        note = _ADAPTER.validate_json(record.headers[at][1] or b"" if at is not None else b"")
    except ValidationError as error:
        raise UnreadableRecord("bad-note", f"not a record of the parked topic: {error.error_count()} faults") from None
    if note.v > VERSION:
        raise UnreadableRecord("unknown-version", f"parked record of version {note.v}; this release knows {VERSION}")
    headers = tuple(header for number, header in enumerate(record.headers) if number != at)
    return note, Record(key=record.key, value=record.value, headers=headers)


def _last(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    return next((at for at in range(len(headers) - 1, -1, -1) if headers[at][0] == HEADER), None)

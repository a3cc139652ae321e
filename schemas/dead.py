"""The dead letter: the record as it was received, and in one header of ours everything needed to understand it."""

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import UnreadableRecord
from schemas.record import ReceivedRecord, Record

VERSION = 1
HEADER = "fuse_dead"


class DeadLetter(BaseModel):
    """Why a record of the source is here. Times are milliseconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    record: Literal["dead"] = "dead"
    v: int = Field(default=VERSION, description="Version of this note.")
    group: str = Field(description="The group that gave the record up.")
    reason: str = Field(description="Why: `permanent`, `budget_spent`, or `unreadable`.")
    error: str = Field(description="What the last call failed with, or what is wrong with the record; no secrets.")
    topic: str = Field(description="The source topic.")
    partition: int = Field(ge=0, description="The source partition.")
    offset: int = Field(ge=0, description="The record's offset there.")
    attempts: int = Field(ge=0, description="Calls made.")
    status: int | None = Field(default=None, description="HTTP status of the last call, where there was one.")
    called: int | None = Field(default=None, ge=0, description="When the first call started.")
    parked: int | None = Field(default=None, ge=0, description="When the event was first parked.")
    ended: int = Field(ge=0, description="When it was given up.")
    epoch: int = Field(ge=1, description="The takeover under which it was given up.")
    member: str = Field(description="The member that gave it up.")


def write_dead_letter(letter: DeadLetter, received: Record) -> Record:
    """Write a record of the dead-letter topic: key, value and headers as received, and the note behind them."""
    note = (HEADER, letter.model_dump_json(exclude_none=True).encode())
    return Record(key=received.key, value=received.value, headers=(*received.headers, note))


def read_dead_letter(record: ReceivedRecord) -> tuple[DeadLetter, ReceivedRecord]:
    """Read a record of the dead-letter topic: its note, and the record as it was in the source, at its place there.

    The time stays that of the letter. Raises UnreadableRecord("bad-letter" or "unknown-version").
    """
    name, note = record.headers[-1] if record.headers else ("", None)
    if name != HEADER:
        raise UnreadableRecord("bad-letter", "a record of the dead-letter topic without its note")
    try:
        letter = DeadLetter.model_validate_json(note or b"")
    except ValidationError as error:
        raise UnreadableRecord("bad-letter", f"not a dead letter: {error.error_count()} faults") from None
    if letter.v > VERSION:
        raise UnreadableRecord("unknown-version", f"dead letter of version {letter.v}; this release knows {VERSION}")
    original = replace(record, partition=letter.partition, offset=letter.offset, headers=tuple(record.headers[:-1]))
    return letter, original

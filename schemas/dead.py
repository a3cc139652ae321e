"""The dead letter: the record as it was received, and in one header of ours everything needed to understand it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.record import Record

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

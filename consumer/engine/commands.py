"""What the engine asks of its driver. The driver answers each with the engine's method named in its docstring."""

from dataclasses import dataclass
from enum import StrEnum

from consumer.engine.lanes import Waiting
from schemas.outcome import Ended, Taken
from schemas.record import Record
from schemas.structs import struct


class Log(StrEnum):
    """The logs of a group that a takeover reads back."""

    OUTCOMES = "outcomes"
    PARKED = "parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Commit this to put the owners of the partition in a row; answer `claimed`, or let the partition go."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Write this to both logs; answer `marked` when both are acknowledged."""

    taken: Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """Read a log from `start` up to `until`; answer `outcomes_read` or `parked_read`, then `read_back`.

    Behind the parked log answer `parked_cut` before that: where it begins by then.

    At `until` lies our own mark, which may be left out. A start of 0 stands for the beginning, wherever that is by now.
    """

    log: Log
    start: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read the source partition, from the start or from where it was paused; answer `records_read`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Stop reading the source partition."""


@struct
class Start:
    """Handle this event as soon as there is room; ask `superseded` then, and answer `call_ended`.

    A parked event gets one attempt, any other as many as its lane's budget allows.
    """

    waiting: Waiting


@struct
class WriteOutcome:
    """Write this to the outcomes log; answer `outcome_written`."""

    ended: Ended


@struct
class WritePark:
    """Write this to the parked log; answer `park_written` with the event's offset."""

    offset: int
    record: Record


@struct
class WriteSettle:
    """Write this to the parked log; answer `settle_written` with the event's offset."""

    offset: int
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteDead:
    """Write this to the dead-letter topic; answer `dead_written` with the event's offset."""

    offset: int
    record: Record


Write = WriteOutcome | WritePark | WriteSettle | WriteDead
Command = Claim | Mark | ReadBack | Read | Pause | Start | Write

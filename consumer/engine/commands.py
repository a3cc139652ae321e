"""What the engine asks of its driver. The driver answers each with the engine's method named in its docstring."""

from dataclasses import dataclass

from consumer.engine.lanes import Waiting
from schemas.outcome import Ended, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Read the outcomes log from its beginning to its present end; answer `history_read`, then `surveyed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Commit this to put the owners of the partition in a row; answer `claimed`, or let the partition go."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Write this to the outcomes log; answer `marked`."""

    taken: Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """Read the outcomes log from `start` up to and including `until`; answer `history_read`, then `read_back`."""

    start: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read the source partition, from the start or from where it was paused; answer `records_read`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Stop reading the source partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Handle this event as soon as there is room; answer `call_ended`."""

    waiting: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOutcome:
    """Write this to the outcomes log; answer `outcome_written`."""

    ended: Ended


Command = Survey | Claim | Mark | ReadBack | Read | Pause | Start | WriteOutcome

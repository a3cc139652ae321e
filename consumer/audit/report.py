"""What an audit found."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from consumer.moments import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Events by what became of them; each is counted once, and once more in `repeated` if it ended several times."""

    events: int = 0
    applied: int = 0
    superseded: int = 0
    ignored: int = 0
    dead: int = 0
    parked: int = 0
    """Waiting in the parked topic."""
    in_progress: int = 0
    """At or above the committed frontier, and neither ended nor parked."""
    unaccounted: int = 0
    """Below the frontier, and neither ended nor parked: promise 6 is broken for these."""
    unknown: int = 0
    """As unaccounted, but so old that the outcome may have been in a part of the outcomes log that was deleted."""
    repeated: int = 0
    """Ended more than once under one generation."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One event that is named: what is the matter, its coordinates, and what its record says, where it can be read.

    `id` and `connection` are as logs and record keys have them: what is not plain in them is percent-encoded.
    `appended` is the log-append time, `received` that of the webhook: seconds since the epoch.
    """

    what: str
    topic: str
    partition: int
    offset: int
    id: str = ""
    tenant: str = ""
    connection: str = ""
    appended: float | None = None
    received: float | None = None

    def as_json(self) -> dict[str, object]:
        """Give what machines read: plain values, with the coordinates as `place` too."""
        times = {"appended": _moment(self.appended), "received": _moment(self.received)}
        return {"place": self.place, **asdict(self), **times}

    @property
    def place(self) -> str:
        """Write the coordinates as `topic[partition]@offset`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An audit's result: the totals, and the first events of each kind that wants attention.

    `since` and `until` are as asked. `before_start` counts the events in front of where the group began, which are in
    no other count; `left_out` those that are counted above and not named. `outcomes_gone` lists the partitions of which
    the beginning of the outcomes log does not exist any more, and `unreadable` counts records of the outcomes and
    parked topics that are none of ours.
    """

    topic: str
    group: str
    tenant: str | None
    since: datetime | None
    until: datetime | None
    counts: Counts
    named: Sequence[Named]
    left_out: int
    before_start: int
    outcomes_gone: Sequence[int]
    unreadable: int

    @property
    def proven(self) -> bool:
        """Say whether every event is accounted for."""
        return not self.counts.unaccounted and not self.counts.unknown

    def as_json(self) -> dict[str, object]:
        """Give what machines read: plain values."""
        times = {"since": _moment(self.since), "until": _moment(self.until)}
        named = [each.as_json() for each in self.named]
        return {**asdict(self), **times, "named": named, "proven": self.proven}


def _moment(time: datetime | float | None) -> str | None:
    """Write a time, or seconds since the epoch, for machines."""
    seconds = time.timestamp() if isinstance(time, datetime) else time
    return None if seconds is None else exact(seconds * 1000)

"""What an engine may hold, and how patient it is: settings, as far as they concern one partition."""

from dataclasses import dataclass, field

from consumer.engine.doors import Doors, door_of
from consumer.engine.lanes import Lanes
from consumer.engine.retry import ParkedBudget
from schemas.event import Event
from schemas.parked import Why
from schemas.structs import struct


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one partition may hold at once.

    `events` and `bytes` in memory; `distance`, the offsets between frontier and read position; `turns`, parked events
    being handled; `scratch`, bytes of parked events kept outside of memory, beyond which nothing more is read.
    """

    events: int
    bytes: int
    distance: int
    turns: int
    scratch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How events are treated.

    `parked` says how long an event is tried from the parked log. `lane_waiting` is how many events of a lane may wait
    in memory; `tenant_share` the share of `Bounds.events` that one tenant may hold: what is beyond either is parked.
    `supersede` names the types of events that are settled before their call when one with an equal body waits behind:
    those with which the handler does something that need not be done twice. `parked_span` is how long
    the parked log may grow, beside what it holds, before what is oldest in it is parked again. `doors` says whose
    events may be called, and is shared by all partitions of a member.
    """

    parked: ParkedBudget
    lane_waiting: int
    tenant_share: float
    supersede: frozenset[str]
    parked_span: int
    doors: Doors = field(default_factory=Doors, repr=False)

    def why_full(self, event: Event, lanes: Lanes, bounds: Bounds) -> Why | None:
        """Say why an event has to wait in the parked log: others are to find room in memory too."""
        most = self.tenant_share * bounds.events
        if self.tenant_share < 1 and lanes.held_by(event.tenant) >= most:
            return Why.TENANT_FULL
        if lanes.events >= most and self.doors.is_in_the_way(door_of(event)):
            return Why.DESTINATION_FULL
        return None


@struct
class Load:
    """What one partition holds: `writing` is what Kafka has not acknowledged of it, the rest is as in Bounds.

    `writing` counts outcomes, parks and dead letters; the records of the two latter are among the `bytes`.
    """

    events: int
    bytes: int
    distance: int
    writing: int
    scratch: int


_SCRATCH_SHARE = 0.9


def is_full(load: Load, bounds: Bounds) -> bool:
    """Say whether reading has to stop."""
    return (
        load.events >= bounds.events
        or load.bytes >= bounds.bytes
        or load.distance >= bounds.distance
        or load.writing >= bounds.events
        or load.scratch >= bounds.scratch
    )


def has_room(load: Load, bounds: Bounds) -> bool:
    """Say whether reading may go on: well below the bounds, since every pause makes Kafka fetch anew."""
    return (
        load.events * 2 <= bounds.events
        and load.bytes * 2 <= bounds.bytes
        and load.distance * 2 <= bounds.distance
        and load.writing * 2 <= bounds.events
        and load.scratch <= bounds.scratch * _SCRATCH_SHARE
    )

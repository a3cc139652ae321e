"""Inspection: what a member holds, as values for its page. Reads and changes nothing; no bodies, no secrets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from consumer.alarms import Alarms
from consumer.engine.doors import Doors
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedEvent
from consumer.gauges import Gauges
from consumer.handling import Handling
from consumer.slots import Slots
from consumer.tenure import Tenure
from schemas.parked import Park
from schemas.settings import ConsumerSettings

_MOST = 100
"""Of a list in an answer, at most."""

Values = dict[str, Any]
"""What becomes a JSON object. Times are seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """What of a member can be looked at; all of it belongs to the member, and lives as long."""

    settings: ConsumerSettings
    name: str
    tenures: Mapping[int, Tenure]
    slots: Slots
    doors: Doors
    alarms: Alarms
    gauges: Callable[[], Gauges]
    clock: Callable[[], float]

    def unready(self) -> Sequence[str]:
        """Say why the member cannot call anybody; nothing if it can."""
        if not self.tenures:
            return ["owns no partition"]
        return [reason for number in sorted(self.tenures) if (reason := _unready(self.tenures[number]))]

    def state(self) -> Values:
        """Describe the member and its partitions."""
        return {
            "group": self.settings.group,
            "topic": self.settings.topic,
            "member": self.name,
            "time": self.clock(),
            "partitions": [_partition(self.tenures[number]) for number in sorted(self.tenures)],
            "gauges": self.gauges().as_fields(),
            "alarms": {"active": self._active_alarms(), "totals": dict(self.alarms.totals)},
            **self._shut(),
        }

    def lane(self, key: bytes) -> Values:
        """Describe a lane in each partition that has something of it, and all partitions.

        That is one, since a key has one; or, where the topic got more partitions, an old one too.
        """
        return {
            "time": self.clock(),
            "calls": {"in_flight": self.slots.taken, "most": self.slots.limit, "waiting": self.slots.waiting},
            "lanes": [
                lane
                for tenure in self.tenures.values()
                if tenure.engine.running and (lane := _lane(tenure, key)) is not None
            ],
            "partitions": [_partition(self.tenures[number]) for number in sorted(self.tenures)],
            **self._shut(),
        }

    def _shut(self) -> Values:
        """Name the accounts, `tenant/environment`, for which nothing is called, and why."""
        return {
            "misconfigured_tenants": _names(self.doors.closed),
            "held_destinations": _names(self.doors.held),
        }

    def _active_alarms(self) -> list[Values]:
        alarms = islice(self.alarms.active, _MOST)
        return [{"event": alarm.event.value, "about": alarm.about, "since": alarm.since} for alarm in alarms]


def _names(doors: Iterable[bytes]) -> list[str]:
    return sorted(door.decode() for door in islice(doors, _MOST))


def _unready(tenure: Tenure) -> str | None:
    if not tenure.engine.running:
        return f"partition {tenure.partition} is being taken over"
    left = tenure.lease.left
    if left is None or left <= 0:
        return f"partition {tenure.partition} has no lease: Kafka took no commit for {-(left or 0.0):.1f} s beyond it"
    return None


def _partition(tenure: Tenure) -> Values:
    engine, committable = tenure.engine, tenure.engine.committable
    frontier = None if committable is None else committable.frontier
    return {
        "partition": tenure.partition,
        "stage": _stage(tenure),
        "epoch": engine.epoch if engine.running else None,
        "frontier": frontier,
        "read_position": None if frontier is None else frontier + engine.load.distance,
        "held": engine.held,
        "parked": engine.parked,
        "paused": engine.paused,
        "lease_seconds": tenure.lease.left,
        "pinned": [
            {"offset": pin.offset, "write": pin.write, "error": error}
            for pin, error in sorted(tenure.pins.items())[:_MOST]
        ],
    }


def _stage(tenure: Tenure) -> str:
    if not tenure.engine.may_start:
        return "letting_go"
    return "running" if tenure.engine.running else "taking_over"


def _lane(tenure: Tenure, key: bytes) -> Values | None:
    """Describe what a partition has of a lane; None if that is nothing."""
    waiting, parked = tenure.engine.lanes.waiting(key), tenure.scratch.head(key)
    if not waiting and parked is None:
        return None
    return {
        "partition": tenure.partition,
        "head": _head(waiting[0], tenure.handled.get(key)) if waiting else None,
        "behind": max(0, len(waiting) - 1),
        "parked": None if parked is None else _parked(tenure.scratch.event(parked.offset)),
    }


def _head(waiting: Waiting, handling: Handling | None) -> Values:
    begun = {} if handling is None or handling.waiting.offset != waiting.offset else _begun(handling)
    return {
        "offset": waiting.offset,
        "event": waiting.event.id,
        "turn": waiting.parked,
        "stage": "slot",
        "attempts": waiting.tried.attempts,
        **begun,
    }


def _begun(handling: Handling) -> Values:
    return {
        "stage": handling.stage.value,
        "since": handling.since,
        "until": handling.until,
        "attempts": handling.attempts,
        "error": handling.error,
    }


def _parked(event: ParkedEvent | None) -> Values | None:
    return None if event is None else _shown(event.note)


def _shown(note: Park) -> Values:
    return {name: value for name, value in asdict(note).items() if name not in {"v", "record", "epoch"}}

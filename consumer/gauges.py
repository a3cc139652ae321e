"""Gauges: what a member holds, against the bounds that the settings give."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from consumer.engine.partition import PartitionEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """One measurement. Units end the names; each has its bound in the settings.

    `unacknowledged_writes` are outcomes, parks and dead letters that Kafka has not acknowledged; `paused_partitions`
    are not read since something is at its bound; `unreadable_records` counts since the start; to
    `held_destinations` no call starts but a probe.
    """

    partitions: int
    calls_in_flight: int
    held_events: int
    held_bytes: int
    frontier_distance_offsets: int
    parked_events: int
    scratch_bytes: int
    unacknowledged_writes: int
    paused_partitions: int
    unreadable_records: int
    misconfigured_accounts: int
    held_destinations: int

    def as_fields(self) -> dict[str, int]:
        """Give the names and values for a log line."""
        return asdict(self)


def gauges(engines: Sequence[PartitionEngine], *, calls: int, unreadable: int, misconfigured: int, held: int) -> Gauges:
    """Measure the engines of a member; the distance is that of the partition where it is longest."""
    loads = [engine.load for engine in engines]
    return Gauges(
        partitions=len(engines),
        calls_in_flight=calls,
        held_events=sum(load.events for load in loads),
        held_bytes=sum(load.bytes for load in loads),
        frontier_distance_offsets=max((load.distance for load in loads), default=0),
        parked_events=sum(engine.parked for engine in engines),
        scratch_bytes=sum(load.scratch for load in loads),
        unacknowledged_writes=sum(load.writing for load in loads),
        paused_partitions=sum(engine.paused for engine in engines),
        unreadable_records=unreadable,
        misconfigured_accounts=misconfigured,
        held_destinations=held,
    )

"""What a status says."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from broker.group_state import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """One partition: offsets, counts of events, `rate` in outcomes per second over the last minute.

    `oldest_seconds` is the age of the oldest unsettled event since its webhook was received, None if all is settled;
    `dead` counts the dead letters that exist; `unread` the events at the end that were not looked at.
    """

    partition: int
    frontier: int
    end: int
    oldest_seconds: float | None
    parked: int
    dead: int
    rate: float
    owner: Owner | None
    epoch: int
    unread: int

    @property
    def lag(self) -> int:
        """Count the events at or above the frontier."""
        return self.end - self.frontier


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantStatus:
    """One tenant's unsettled events, parked ones included; an empty name stands for records that name no tenant."""

    tenant: str
    oldest_seconds: float
    unsettled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A group: its state in Kafka's words, its partitions, and the tenants that wait longest, in that order."""

    topic: str
    group: str
    state: str
    partitions: Sequence[PartitionStatus]
    tenants: Sequence[TenantStatus]

    @property
    def oldest_seconds(self) -> float | None:
        """Give the age of the oldest unsettled event of all."""
        return max((each.oldest_seconds for each in self.partitions if each.oldest_seconds is not None), default=None)

    def as_json(self) -> dict[str, object]:
        """Give what machines read: plain values."""
        partitions = [{**asdict(each), "lag": each.lag} for each in self.partitions]
        return {"oldest_seconds": self.oldest_seconds, **asdict(self), "partitions": partitions}

"""Facts about one lane: what Kafka, the logs and the owner's page say of it. Times are milliseconds since the epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.layout import Layout
from consumer.engine.committed import Committed
from consumer.why.answer import PageAnswer, PageLane, PagePartition
from schemas.outcome import Ended
from schemas.parked import Park


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """An event of the lane in the source topic."""

    offset: int
    appended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFact:
    """The lane's partition: its number, the offsets that exist, what is committed, and who owns it.

    `address` is where the owner's page is; None where there is no owner, or one that does not tell.
    """

    number: int
    existing: range
    committed: Committed | None
    owner: str | None
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of a lane.

    `in_tenants_file` is None where the file could not be read. `state` is that of the group in Kafka's words, and
    `names_owners` whether Kafka tells of this group's members at all. `events` are those from offset `looked_from` on,
    in order; `ended` and `parked` have outcomes and parks by the events' offsets, `letters` where the dead letters of
    those that are dead lie. `page` is None where the owner's page did not answer. `drains` is the layout that the
    group has to drain before it goes on with the source's; None if it has that already. `boundary` is the offset at
    which what may be handled before that ends, of what was looked through; None if nothing there was moved in.
    """

    group: str
    tenant: str
    lane: str
    now: int
    in_tenants_file: bool | None
    state: str
    names_owners: bool
    partition: PartitionFact
    looked_from: int
    events: Sequence[EventFact] = ()
    ended: Mapping[int, Ended] = field(default_factory=dict)
    parked: Mapping[int, Park] = field(default_factory=dict)
    letters: Mapping[int, int] = field(default_factory=dict)
    page: PageAnswer | None = None
    drains: Layout | None = None
    boundary: int | None = None

    @property
    def open(self) -> Sequence[int]:
        """List the offsets of the lane's events that have not ended, in order."""
        known = {event.offset for event in self.events} | self.parked.keys() | self._on_page()
        return sorted(known - self.ended.keys())

    @property
    def lane_page(self) -> PageLane | None:
        """Get what the owner's page says of the lane."""
        return None if self.page is None else self.page.lane(self.partition.number)

    @property
    def partition_page(self) -> PagePartition | None:
        """Get what the owner's page says of the partition."""
        return None if self.page is None else self.page.partition(self.partition.number)

    def since(self, offset: int) -> int:
        """Say since when an event has been there, as far as that is known; else now."""
        if offset in self.parked:
            return self.parked[offset].since
        return next((event.appended for event in self.events if event.offset == offset), self.now)

    def _on_page(self) -> set[int]:
        lane = self.lane_page
        return set() if lane is None else {each.offset for each in (lane.head, lane.parked) if each is not None}

"""What a member's page says of a lane, as `why` reads it. Another release may say more."""

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PagePin(_Model):
    """A write that Kafka does not take."""

    offset: int
    write: str
    error: str


class PagePartition(_Model):
    """A partition of the member."""

    partition: int
    stage: str
    read_position: int | None = None
    paused: bool = False
    pinned: tuple[PagePin, ...] = ()


class PageHead(_Model):
    """The event of a lane that is being handled, or is next. Times are seconds since the epoch."""

    offset: int
    stage: str
    turn: bool = False
    since: float | None = None
    until: float | None = None
    attempts: int = 0
    error: str | None = None


class PageParked(_Model):
    """The first event of a lane that is parked."""

    offset: int


class PageLane(_Model):
    """A lane: its head in memory, how many wait behind that, and the first that is parked."""

    partition: int
    head: PageHead | None = None
    behind: int = 0
    parked: PageParked | None = None


class PageCalls(_Model):
    """The member's calls: in flight, at most, and waiting for their turn."""

    in_flight: int
    most: int
    waiting: int


class PageAnswer(_Model):
    """What `GET /lanes/{tenant}/{connection}` answers."""

    time: float
    calls: PageCalls
    lanes: tuple[PageLane, ...]
    partitions: tuple[PagePartition, ...]
    misconfigured_tenants: tuple[str, ...] = ()
    held_destinations: tuple[str, ...] = ()

    def lane(self, partition: int) -> PageLane | None:
        """Get what the page says of the lane in a partition."""
        return next((lane for lane in self.lanes if lane.partition == partition), None)

    def partition(self, number: int) -> PagePartition | None:
        """Get what the page says of a partition."""
        return next((known for known in self.partitions if known.partition == number), None)

"""What a seed decides beforehand: how large everything is, and what webhooks come."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from consumer.engine.lanes import Waiting
from consumer.engine.partition import Skipped
from schemas.event import Environment, Event

_RECEIVED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LANES = ("acme/one", "acme/two", "blue/one", "blue/two", "coral/one", "coral/two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The sizes of one run; times in seconds."""

    partitions: int
    lanes: int
    members: int
    events: int
    chaos: float
    session: float
    commit_interval: float
    drain: float
    max_held_events: int
    max_distance: int
    slots: int
    batch: int


def draw_setup(rng: Random) -> Setup:
    """Draw the sizes of a run: small, so that bounds are met and lanes collide."""
    partitions = rng.randint(1, 3)
    return Setup(
        partitions=partitions,
        lanes=rng.randint(1, len(_LANES)),
        members=rng.randint(1, 3),
        events=rng.randint(10, 25 * partitions),
        chaos=rng.uniform(15.0, 45.0),
        session=rng.uniform(4.0, 8.0),
        commit_interval=rng.uniform(0.3, 2.0),
        drain=rng.uniform(0.5, 4.0),
        max_held_events=rng.randint(4, 24),
        max_distance=rng.randint(6, 24),
        slots=rng.randint(1, 6),
        batch=rng.randint(1, 5),
    )


def draw_record(rng: Random, setup: Setup, partition: int, offset: int) -> Waiting | Skipped:
    """Draw what is appended to the source: mostly an event, sometimes garbage, which the driver makes a skip of."""
    if rng.random() < 0.05:
        return Skipped(offset=offset)
    name = _LANES[rng.randrange(setup.lanes)]
    tenant, connection = name.split("/")
    event = Event(
        id=f"event-{partition}-{offset}",
        tenant=tenant,
        environment=Environment.SANDBOX,
        type="financial_connection.sync_data",
        connection=connection,
        aggregator="plaid",
        received_at=_RECEIVED_AT,
        verification="signature",
        body=b"{}",
    )
    return Waiting(offset=offset, lane=name.encode(), size=100, event=event)

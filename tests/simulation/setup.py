"""What a seed decides beforehand: how large everything is, and what webhooks come."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from consumer.engine.endings import Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.policy import Policy
from consumer.engine.retry import Backoff, LaneBudget, ParkedBudget
from schemas.event import Environment, Event
from schemas.record import ReceivedRecord, to_record

_RECEIVED_AT = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = int(_RECEIVED_AT.timestamp() * 1000)
"""When a run begins, in milliseconds, by a clock that is right."""
TENANTS = ("acme", "blue", "coral")
_LANES = ("acme/one", "acme/two", "blue/one", "blue/two", "coral/one", "coral/two")
_PARKED_BYTES = 600
"""About what a parked event costs in the scratch."""

WORKS, NEVER_WORKS, REFUSED = "financial_connection.sync_data", "never.works", "refused"
"""Types of events: calls for them work sooner or later, never, or fail for good at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The sizes of one run; times in seconds."""

    partitions: int
    lanes: int
    members: int
    events: int
    bodies: int
    doomed: float
    chaos: float
    session: float
    commit_interval: float
    tick: float
    trim_interval: float
    drain: float
    max_held_events: int
    max_distance: int
    max_scratch: int
    slots: int
    turns: int
    door_interval: float
    batch: int
    budget: LaneBudget
    policy: Policy


def draw_setup(rng: Random) -> Setup:
    """Draw the sizes of a run: small, so that bounds are met and lanes collide."""
    partitions = rng.randint(1, 3)
    return Setup(
        partitions=partitions,
        lanes=rng.randint(1, len(_LANES)),
        members=rng.randint(1, 3),
        events=rng.randint(10, 25 * partitions),
        bodies=rng.choice((1, 2, 4, 50)),
        doomed=rng.choice((0.0, 0.05, 0.15)),
        chaos=rng.uniform(15.0, 45.0),
        session=rng.uniform(4.0, 8.0),
        commit_interval=rng.uniform(0.3, 2.0),
        tick=rng.uniform(0.2, 0.8),
        trim_interval=rng.uniform(0.5, 6.0),
        drain=rng.uniform(0.5, 4.0),
        max_held_events=rng.randint(4, 24),
        max_distance=rng.randint(6, 24),
        max_scratch=_PARKED_BYTES * rng.choice((2, 4, 8, 1_000, 1_000)),
        slots=rng.randint(1, 6),
        turns=rng.randint(1, 3),
        door_interval=rng.uniform(0.5, 5.0),
        batch=rng.randint(1, 5),
        budget=_lane_budget(rng),
        policy=_policy(rng),
    )


def _lane_budget(rng: Random) -> LaneBudget:
    backoff = Backoff(initial=0.2, most=3.0)
    return LaneBudget(backoff=backoff, attempts=rng.randint(1, 3), seconds=rng.uniform(1.0, 8.0))


def _policy(rng: Random) -> Policy:
    backoff = Backoff(initial=rng.uniform(0.2, 1.0), most=3.0)
    return Policy(
        parked=ParkedBudget(backoff=backoff, attempts=rng.randint(1, 4), seconds=rng.uniform(3.0, 20.0)),
        lane_waiting=rng.randint(2, 5),
        tenant_share=rng.choice((0.3, 0.6, 1.0, 1.0)),
        supersede=frozenset({WORKS, REFUSED, NEVER_WORKS}) if rng.random() < 0.6 else frozenset(),
        parked_span=rng.choice((2, 5, 12, 1_000)),
    )


def draw_record(rng: Random, setup: Setup, partition: int, offset: int) -> Waiting | Unreadable:
    """Draw what is appended to the source: mostly an event, sometimes garbage."""
    if rng.random() < 0.04:
        return _garbage(partition, offset)
    lane = _LANES[rng.randrange(setup.lanes)]
    tenant, connection = lane.split("/")
    event = Event(
        id=f"event-{partition}-{offset}",
        tenant=tenant,
        environment=Environment.SANDBOX,
        type=_draw_type(rng, setup),
        connection=connection,
        aggregator="plaid",
        received_at=_RECEIVED_AT,
        verification="signature",
        body=b"%d" % rng.randrange(setup.bodies),
    )
    record = to_record(event)
    size = len(lane) + len(event.body) + sum(len(value or b"") for _, value in record.headers)
    return Waiting(offset=offset, lane=lane.encode(), size=size, event=event)


def _draw_type(rng: Random, setup: Setup) -> str:
    if rng.random() >= setup.doomed:
        return WORKS
    return REFUSED if rng.random() < 0.3 else NEVER_WORKS


def _garbage(partition: int, offset: int) -> Unreadable:
    record = ReceivedRecord(partition=partition, offset=offset, timestamp=0.0, key=None, value=b"?", headers=())
    return Unreadable(offset=offset, record=record, reason="not-cloudevents", error="header ce_specversion is missing")

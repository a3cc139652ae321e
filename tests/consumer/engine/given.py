"""What the tests of the engine start from: events at their places, outcomes of others, usual bounds and patience."""

from dataclasses import replace

from consumer.engine.committed import Committed
from consumer.engine.endings import Ending, Place, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedEntry
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds, Policy
from consumer.engine.retry import Backoff, Failed, ParkedBudget
from consumer.engine.takeover import Marks, OutcomeEntry
from consumer.scratch import Scratch
from schemas.outcome import Applied, Ended, Ignored, OutcomeKind
from schemas.parked import Park, Why
from schemas.record import Record, to_record
from tests.consumer.fakes import event, garbage

PLACE = Place(group="sync", member="me", topic="fuse.webhooks", partition=0)
WIDE = Bounds(events=1_000, bytes=1_000_000, distance=1_000, turns=100, scratch=1_000_000)
BUDGET = ParkedBudget(backoff=Backoff(initial=10, most=100), attempts=3, seconds=1_000)
POLICY = Policy(parked=BUDGET, lane_waiting=100, tenant_share=1, supersede=frozenset(), parked_span=1_000)
FAILED = Failed(error="503", jitter=0, status=503)
REFUSED = Failed(error="401", jitter=0, permanent=True, status=401)


def waiting(offset: int, lane: bytes = b"acme/one", *, size: int = 10, body: bytes | None = None) -> Waiting:
    """Give an event at its place; its body is its own unless one is given."""
    tenant, connection = lane.decode().split("/")
    made = event(offset, tenant=tenant, connection=connection)
    return Waiting(offset=offset, lane=lane, size=size, event=made if body is None else replace(made, body=body))


def unreadable(offset: int) -> Unreadable:
    """Give a record that is no event."""
    return Unreadable(offset=offset, record=garbage(0, offset), reason="no-body", error="the record has no value")


def ended(offset: int, identity: str | None = None, *, epoch: int = 1) -> Ended:
    """Give an outcome that somebody wrote."""
    return Ended(
        offset=offset,
        id=f"event-{offset}" if identity is None else identity,
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=epoch,
        member="another",
    )


def park(offset: int, *, epoch: int = 1, due: int = 0, identity: str | None = None) -> Park:
    """Give a note that somebody wrote."""
    return Park(
        epoch=epoch,
        offset=offset,
        id=f"event-{offset}" if identity is None else identity,
        due=due,
        since=1,
        reason=Why.BEHIND,
    )


def record_of(offset: int, lane: bytes = b"acme/one", *, body: bytes | None = None) -> Record:
    """Give the record of the event at an offset."""
    return to_record(waiting(offset, lane, body=body).event)


def entry(position: int, note: Park, lane: bytes = b"acme/one") -> ParkedEntry:
    """Place a park in the parked log."""
    return ParkedEntry(position=position, note=note, record=record_of(note.offset, lane))


def applied(at: int = 2) -> Ending:
    """Say that a call worked."""
    return Ending(result=Applied(status=200), attempts=1, called=at, ended=at)


def ignored(at: int = 2) -> Ending:
    """Say that there was nothing to do."""
    return Ending(result=Ignored(reason="type_not_synced"), attempts=1, called=at, ended=at)


def failed(failure: Failed = FAILED, at: int = 2, attempts: int = 1) -> Ending:
    """Say that so many calls did not work."""
    return Ending(result=failure, attempts=attempts, called=at, ended=at)


def running(
    *before: Ended,
    parked: tuple[ParkedEntry, ...] = (),
    bounds: Bounds = WIDE,
    policy: Policy = POLICY,
    events_from: int | None = None,
) -> PartitionEngine:
    """Give an engine that has taken a partition over behind these outcomes and parks; its epoch is 2."""
    committed = Committed(frontier=0, epoch=1, outcomes_from=0, parked_from=0, parked_epoch=0, events_from=events_from)
    engine = PartitionEngine(committed, PLACE, policy, bounds, Scratch())
    engine.begin()
    engine.claimed()
    engine.marked(Marks(outcomes=len(before), parked=len(parked)))
    engine.parked_read(parked)
    engine.read_back()
    engine.outcomes_read([OutcomeEntry(position=at, record=record) for at, record in enumerate(before)])
    engine.read_back()
    return engine

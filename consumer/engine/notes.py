"""Notes: what is written about an event when it is parked, and the event again when its turn has come."""

from consumer.engine.lanes import Tried, Waiting
from consumer.engine.parking import ParkedEvent
from consumer.engine.retry import Failed
from schemas.parked import Park, Why
from schemas.record import ReceivedRecord, from_record


def note_failed(waiting: Waiting, tried: Tried, failed: Failed, epoch: int, due: int) -> Park:
    """Park an event until its next attempt is due. `tried` says since when it has been parked."""
    return Park(
        epoch=epoch,
        offset=waiting.offset,
        id=waiting.event.id,
        due=due,
        attempts=tried.attempts,
        turns=tried.turns,
        called=tried.called,
        since=tried.since or 0,
        reason=Why.MISCONFIGURED if failed.misconfigured else Why.FAILED,
        error=failed.error,
    )


def note_waiting(waiting: Waiting, why: Why, epoch: int, now: int) -> Park:
    """Park an event that was not called yet, to be called in its lane's turn."""
    return Park(epoch=epoch, offset=waiting.offset, id=waiting.event.id, due=0, since=now, reason=why)


def waiting_of(parked: ParkedEvent, partition: int, *, probe: bool = False) -> Waiting:
    """Get an event back for its turn. What is parked has been read as an event before."""
    note, record = parked.note, parked.record
    received = ReceivedRecord(
        partition=partition,
        offset=note.offset,
        timestamp=0.0,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )
    return Waiting(
        offset=note.offset,
        lane=record.key or b"",
        size=received.size,
        event=from_record(received),
        tried=Tried(attempts=note.attempts, turns=note.turns, called=note.called, since=note.since),
        parked=True,
        probe=probe,
    )

"""Endings: how a handler's work on an event ended, and the records that say so."""

from dataclasses import dataclass
from typing import NamedTuple

from consumer.engine.lanes import Tried, Waiting
from consumer.engine.retry import Failed
from schemas.dead import DeadLetter, write_dead_letter
from schemas.outcome import Applied, Ended, HandlerResult, Ignored, OutcomeKind
from schemas.record import ReceivedRecord, Record
from schemas.structs import struct

PERMANENT, BUDGET_SPENT, UNREADABLE = "permanent", "budget_spent", "unreadable"
"""Reasons for which an event is dead."""
COVERED = "equal_event_follows"
"""The reason of what is superseded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who handles what: a group's member, a partition of the source, and the epoch once it is taken over."""

    group: str
    member: str
    topic: str
    partition: int
    epoch: int = 0


class Written(NamedTuple):
    """What is left of an event whose outcome is being written: its lane, if it is one's, and whether it is parked."""

    lane: bytes | None
    parked: bool


@struct
class Ending:
    """How a handler's work on an event ended, after so many calls. Times are milliseconds since the epoch.

    `spared` are those of the calls that failed because their destination was held: they use up no turn.
    """

    result: HandlerResult | Failed
    attempts: int
    called: int
    ended: int
    spared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record of the source that is no event: `reason` is a stable word, `error` says what is wrong with it."""

    offset: int
    record: ReceivedRecord
    reason: str
    error: str


def after(waiting: Waiting, ending: Ending) -> Tried:
    """Add what has been done now to what was done before."""
    tried = waiting.tried
    return Tried(
        attempts=tried.attempts + ending.attempts,
        turns=tried.turns + ending.attempts - ending.spared if waiting.parked else tried.turns,
        called=ending.called if tried.called is None else tried.called,
        since=tried.since,
    )


def shows_that_keys_work(result: HandlerResult | Failed) -> bool:
    """Say whether the other side has judged the event itself, for good or bad, and so accepts the tenant's keys."""
    return isinstance(result, Applied) or (isinstance(result, Failed) and result.permanent)


def done(waiting: Waiting, ending: Ending, result: HandlerResult, place: Place) -> Ended:
    """Say that an event was applied or ignored."""
    kind, reason, status = _describe(result)
    return _ended(waiting, after(waiting, ending), (kind, reason, status), ending.ended, place)


def superseded(waiting: Waiting, now: int, place: Place) -> Ended:
    """Say that a later event of the lane covers this one, which was never called."""
    return _ended(waiting, waiting.tried, (OutcomeKind.SUPERSEDED, COVERED, None), now, place)


def dead(waiting: Waiting, letter: DeadLetter, place: Place) -> Ended:
    """Say that an event was given up, as its letter does."""
    tried = Tried(attempts=letter.attempts, called=letter.called)
    described = (OutcomeKind.DEAD, letter.reason, letter.status)
    return _ended(waiting, tried, described, letter.ended, place)


def unreadable(found: Unreadable, letter: DeadLetter, place: Place) -> Ended:
    """Say that a record which is no event was put to the dead letters; it has no id."""
    return Ended(
        offset=found.offset,
        id="",
        outcome=OutcomeKind.DEAD,
        reason=letter.reason,
        attempts=0,
        received=max(0, int(found.record.timestamp * 1000)),
        ended=letter.ended,
        epoch=place.epoch,
        member=place.member,
    )


def letter_of(waiting: Waiting, tried: Tried, failed: Failed, now: int, place: Place) -> DeadLetter:
    """Say why an event is given up."""
    return DeadLetter(
        group=place.group,
        reason=PERMANENT if failed.permanent else BUDGET_SPENT,
        error=failed.error,
        topic=place.topic,
        partition=place.partition,
        offset=waiting.offset,
        attempts=tried.attempts,
        status=failed.status,
        called=tried.called,
        parked=tried.since,
        ended=now,
        epoch=place.epoch,
        member=place.member,
    )


def letter_of_unreadable(found: Unreadable, now: int, place: Place) -> DeadLetter:
    """Say why a record that is no event is put to the dead letters."""
    return DeadLetter(
        group=place.group,
        reason=UNREADABLE,
        error=f"{found.reason}: {found.error}",
        topic=place.topic,
        partition=place.partition,
        offset=found.offset,
        attempts=0,
        ended=now,
        epoch=place.epoch,
        member=place.member,
    )


def raw_letter(letter: DeadLetter, found: Unreadable) -> Record:
    """Write a record that is no event as it came."""
    received = found.record
    return write_dead_letter(letter, Record(key=received.key, value=received.value, headers=tuple(received.headers)))


Described = tuple[OutcomeKind, str | None, int | None]


def _ended(waiting: Waiting, tried: Tried, described: Described, now: int, place: Place) -> Ended:
    kind, reason, status = described
    return Ended(
        offset=waiting.offset,
        id=waiting.event.id,
        generation=waiting.event.generation,
        outcome=kind,
        reason=reason,
        attempts=tried.attempts,
        status=status,
        received=int(waiting.event.received_at.timestamp() * 1000),
        called=tried.called,
        ended=now,
        epoch=place.epoch,
        member=place.member,
    )


def _describe(result: HandlerResult) -> Described:
    match result:
        case Applied(status=status):
            return OutcomeKind.APPLIED, None, status
        case Ignored(reason=reason):
            return OutcomeKind.IGNORED, reason, None

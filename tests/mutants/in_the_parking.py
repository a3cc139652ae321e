"""Bugs planted in what is done with parked events: turns, dead letters, and what of the log still counts."""

from collections.abc import Sequence
from dataclasses import replace
from sys import maxsize

from consumer.engine import endings
from consumer.engine.commands import Command, WriteDead, WriteOutcome, WritePark
from consumer.engine.committed import Committed
from consumer.engine.doors import Doors, door_of
from consumer.engine.endings import Ending
from consumer.engine.lanes import Lanes, Tried, Waiting
from consumer.engine.parking import ParkedEvent, Parking
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds
from consumer.engine.retry import Failed, ParkedBudget
from consumer.scratch import Scratch
from schemas.outcome import Ended
from schemas.parked import Park, Why
from tests.mutants.mutant import Mutant, replaced

_COUNTS_FROM = Parking.counts_from
_DUE = ParkedBudget.due
_FAILED = PartitionEngine._failed  # noqa: SLF001 - a mutant replaces what is private too
_END = PartitionEngine._end  # noqa: SLF001 - a mutant replaces what is private too
_LEAVE = PartitionEngine._leave  # noqa: SLF001 - likewise
_PARK = PartitionEngine._park  # noqa: SLF001 - likewise
_PARK_AGAIN = Scratch.park_again
_SUPERSEDED = PartitionEngine.superseded
_TAKE_TURN = Parking.take_turn
_WHY_STOPPED = Doors.why_stopped


def _own_epoch(self: Parking) -> tuple[int, int]:
    return _COUNTS_FROM(self)[0], self._epoch


def _no_epoch(self: Parking) -> tuple[int, int]:
    return _COUNTS_FROM(self)[0], 0


def _from_the_end(self: Parking) -> tuple[int, int]:
    return self.end, self._epoch


def _oldest_that_waits(self: Scratch) -> tuple[int, int] | None:
    rows = self._do("SELECT at, position, epoch FROM parked WHERE position IS NOT NULL ORDER BY position")
    return next(((position, epoch) for at, position, epoch in rows if at not in self._ended), None)


def _forget_the_old_record(self: Scratch, note: Park) -> None:
    _PARK_AGAIN(self, note)
    self._do("UPDATE parked SET position = NULL WHERE at = ?", (note.offset,))


def _settle_at_once(self: PartitionEngine, waiting: Waiting, ended: Ended) -> list[Command]:
    commands = _END(self, waiting, ended)
    if waiting.parked:
        commands.append(self._parking.settle(waiting.offset, self._outcomes_end))
    return commands


Turn = tuple[ParkedEvent, bool] | None


def _turn_of_what_is_not_read(self: Parking, now: int, below: int, doors: Doors) -> Turn:
    del below
    return _TAKE_TURN(self, now, maxsize, doors)


def _turn_before_it_is_due(self: Parking, now: int, below: int, doors: Doors) -> Turn:
    return _TAKE_TURN(self, now + 60_000, below, doors)


def _letters_without_end(self: PartitionEngine, waiting: Waiting, ending: Ending, failed: Failed) -> list[Command]:
    """Say that an event is dead before its letter is acknowledged."""
    commands = _FAILED(self, waiting, ending, failed)
    if not any(isinstance(command, WriteDead) for command in commands):
        return commands
    return self._end(*self._dying.written(waiting.offset))  # type: ignore[arg-type] # it is an event


def _misconfigured_counts_as_a_turn(
    self: PartitionEngine, waiting: Waiting, ending: Ending, failed: Failed
) -> list[Command]:
    return _FAILED(self, waiting, ending, replace(failed, misconfigured=False))


def _an_outage_counts_as_a_turn(
    self: PartitionEngine, waiting: Waiting, ending: Ending, failed: Failed
) -> list[Command]:
    return _FAILED(self, waiting, replace(ending, spared=0), failed)


def _shut_if_closed(self: Doors, door: bytes) -> bool:
    return self.is_closed(door)


def _held_keeps_its_turn(self: Doors, waiting: Waiting, *, full: bool) -> Why | None:
    if waiting.parked and not self.is_closed(door_of(waiting.event)):
        return None
    return _WHY_STOPPED(self, waiting, full=full)


def _has_acknowledged(self: Scratch, lane: bytes) -> bool:
    rows = self._do("SELECT at FROM parked WHERE lane = ? AND position IS NOT NULL", (lane,))
    return any(at not in self._ended for (at,) in rows)


def _park_the_failed_alone(
    self: PartitionEngine, waiting: Waiting, tried: Tried, failed: Failed, due: int
) -> list[Command]:
    behind = self._lanes.take_behind(waiting.lane)
    lane = list(behind)
    commands = _PARK_LANE(self, waiting, tried, failed, due)
    for each in lane:
        commands.extend(self._enter(each))
    return commands


_PARK_LANE = PartitionEngine._park_lane  # noqa: SLF001 - likewise


def _settle_before_the_park_is_acknowledged(self: PartitionEngine, waiting: Waiting, why: Why) -> WritePark:
    self._frontier.settle(waiting.offset)
    return _PARK(self, waiting, why)


def _rewrite_with_the_old_epoch(self: Parking, event: ParkedEvent) -> WritePark:
    self._view.withdraw(event.record.key or b"")
    return self.park_again(event.note)


def _rewrite_what_is_called(self: PartitionEngine, now: int) -> list[Command]:
    self._now = max(self._now, now)
    if self._letting_go or not self.running:
        return []
    stale = self._parking.stale(self._policy.parked_span, 100)
    return self._take_turns() + [self._parking.rewrite(event) for event in stale]


def _rewrite_nothing(self: Parking, span: int, most: int) -> Sequence[ParkedEvent]:
    del self, span, most
    return ()


def _bounds_as_they_are(self: PartitionEngine) -> Bounds:
    return self.bounds


def _scratch_without_bound(self: PartitionEngine) -> Bounds:
    return replace(self.bounds, scratch=maxsize)


def _turns_without_bound(self: PartitionEngine) -> bool:
    return not self._letting_go


def _due_without_retry_after(self: ParkedBudget, tried: Tried, failed: Failed, now: int) -> int:
    return _DUE(self, tried, replace(failed, retry_after=None), now)


def _count_anew(waiting: Waiting, ending: Ending) -> Tried:
    return Tried(attempts=ending.attempts, turns=1, called=ending.called, since=waiting.tried.since)


def _covered_although_called(self: PartitionEngine, waiting: Waiting) -> Sequence[Waiting]:
    if not self._policy.supersede:
        return ()
    if waiting.parked:
        return [waiting] if self._parking.is_covered(waiting.offset) else ()
    return self._lanes.covered(waiting.lane)


def _covered_by_any(self: Lanes, lane: bytes) -> list[Waiting]:
    return list(self._lanes[lane])[:-1]


def _go_on_before_superseded_is_durable(self: PartitionEngine, waiting: Waiting, now: int) -> list[Command]:
    commands = _SUPERSEDED(self, waiting, now)
    for command in list(commands):
        if isinstance(command, WriteOutcome):
            commands += self._unblock(waiting.lane, command.ended.offset)
    return commands


def _deletable_up_to_the_mark(self: PartitionEngine, committed: Committed) -> int:
    del committed
    return self._takeover.marks.parked


def _deletable_beyond_the_mark(self: PartitionEngine, committed: Committed) -> int:
    del self
    return committed.parked_from or 0


PARKING = (
    Mutant("E is our own epoch", "E: the epoch current at P †", lambda: replaced(Parking, "counts_from", _own_epoch)),
    Mutant("E forgotten", "E: the epoch current at P †", lambda: replaced(Parking, "counts_from", _no_epoch)),
    Mutant(
        "P is the end", "P: the oldest record that counts †", lambda: replaced(Parking, "counts_from", _from_the_end)
    ),
    Mutant(
        "P passes what is not settled",
        "until `settle` is acknowledged it still counts for P †",
        lambda: replaced(Scratch, "oldest", _oldest_that_waits),
    ),
    Mutant(
        "P passes what is parked again",
        "P: the oldest record that counts †",
        lambda: replaced(Scratch, "park_again", _forget_the_old_record),
    ),
    Mutant(
        "X passes what is not settled",
        "X: the outcome of each whose `settle` is not acknowledged †",
        lambda: replaced(Parking, "outcomes_from", lambda _: None),
    ),
    Mutant(
        "settled in the log before the outcome is durable",
        "`settle` is written only after an acknowledged outcome",
        lambda: replaced(PartitionEngine, "_end", _settle_at_once),
    ),
    Mutant(
        "turn above the read position",
        "a parked event at or above the read position waits †",
        lambda: replaced(Parking, "take_turn", _turn_of_what_is_not_read),
        rare=24,
    ),
    Mutant(
        "turn before it is due",
        "a parked event's turn, when due",
        lambda: replaced(Parking, "take_turn", _turn_before_it_is_due),
    ),
    Mutant(
        "dead without a letter",
        "dead letter first, acknowledged, then the outcome †",
        lambda: replaced(PartitionEngine, "_failed", _letters_without_end),
    ),
    Mutant(
        "read past a parked lane",
        "everything of a parked lane that is read is parked †",
        lambda: replaced(Parking, "holds", lambda *_: False),
    ),
    Mutant(
        "lane free while it is being parked",
        "free when nothing of it is parked or being parked †",
        lambda: replaced(Scratch, "has_lane", _has_acknowledged),
    ),
    Mutant(
        "only the failed event is parked",
        "a lane is parked as a whole and in order †",
        lambda: replaced(PartitionEngine, "_park_lane", _park_the_failed_alone),
    ),
    Mutant(
        "settled before its park is durable",
        "acknowledged, each is settled for the source",
        lambda: replaced(PartitionEngine, "_park", _settle_before_the_park_is_acknowledged),
    ),
    Mutant(
        "rewritten without the own epoch",
        "the oldest entries are parked again (under the own epoch)",
        lambda: replaced(Parking, "rewrite", _rewrite_with_the_old_epoch),
    ),
    Mutant(
        "rewritten while it is called",
        "what waits is parked again",
        lambda: replaced(PartitionEngine, "tick", _rewrite_what_is_called),
    ),
    Mutant(
        "scratch full for ever",
        "what is parked waits until it is read past, and reading for it",
        lambda: replaced(PartitionEngine, "_limits", property(_bounds_as_they_are)),
        rare=12,
    ),
    Mutant(
        "scratch without bound",
        "a full scratch stops the reading",
        lambda: replaced(PartitionEngine, "_limits", property(_scratch_without_bound)),
    ),
    Mutant(
        "turns without bound",
        "turns are bounded",
        lambda: replaced(PartitionEngine, "_has_turn_free", _turns_without_bound),
    ),
    Mutant(
        "Retry-After forgotten when parked",
        "history: retry delay",
        lambda: replaced(ParkedBudget, "due", _due_without_retry_after),
    ),
    Mutant(
        "a tenant's wrong keys are the event's fault",
        "misconfigured is no fault of the event",
        lambda: replaced(PartitionEngine, "_failed", _misconfigured_counts_as_a_turn),
        rare=33,
    ),
    Mutant(
        "a closed door stops nobody on the way to it",
        "one event per interval while misconfigured",
        lambda: replaced(PartitionEngine, "turned_away", lambda *_: None),
        rare=11,
    ),
    Mutant(
        "probes without an interval",
        "one event per interval while misconfigured",
        lambda: replaced(Doors, "take_probe", lambda *_: True),
    ),
    Mutant(
        "a door that was opened is not looked at again",
        "go on as soon as one succeeds or the configuration changes",
        lambda: replaced(Doors, "next_look", lambda *_: 1 << 60),
        rare=33,
    ),
    Mutant(
        "held doors get turns",
        "what is parked for a destination that is down gets no turn",
        lambda: replaced(Doors, "is_shut", _shut_if_closed),
    ),
    Mutant(
        "a turn is kept while its destination is down",
        "what is parked for a destination that is down gives its turn back",
        lambda: replaced(Doors, "why_stopped", _held_keeps_its_turn),
        rare=11,
    ),
    Mutant(
        "a destination that is down is the event's fault",
        "nothing is given up while it is held",
        lambda: replaced(PartitionEngine, "_failed", _an_outage_counts_as_a_turn),
        rare=158,
    ),
    Mutant("attempts counted anew", "promise 6: budgets end", lambda: replaced(endings, "after", _count_anew)),
    Mutant(
        "superseded although called",
        "superseded only before its own call",
        lambda: replaced(PartitionEngine, "_covered", _covered_although_called),
    ),
    Mutant(
        "superseded by another body", "superseded by an equal body", lambda: replaced(Lanes, "covered", _covered_by_any)
    ),
    Mutant(
        "next starts before what is superseded is durable",
        "after superseded only when acknowledged †",
        lambda: replaced(PartitionEngine, "superseded", _go_on_before_superseded_is_durable),
    ),
    Mutant(
        "deleted up to the mark",
        "records are deleted below P",
        lambda: replaced(PartitionEngine, "deletable", _deletable_up_to_the_mark),
    ),
    Mutant(
        "deleted beyond the mark",
        "never beyond its own mark",
        lambda: replaced(PartitionEngine, "deletable", _deletable_beyond_the_mark),
    ),
)

"""Bugs planted in the takeover: what a member does before it handles anything."""

from collections.abc import Sequence

from consumer.engine.commands import Claim, Command, Log, ReadBack, WriteSettle
from consumer.engine.committed import Committed
from consumer.engine.parking import Journal, ParkedEntry, Parking
from consumer.engine.takeover import Marks, OutcomeEntry, Takeover
from consumer.scratch import Scratch
from schemas.outcome import Ended, Taken
from schemas.parked import Park
from tests.consumer.engine.test_parking import (
    test_a_lower_mark_changes_nothing,
    test_a_park_proves_its_epoch_where_nothing_is_committed,
)
from tests.mutants.mutant import Mutant, both, replaced

_BEGIN = Parking.begin
_CLAIM = Takeover.claim
_ENDED_AND_PARKED = Scratch.ended_and_parked
_FOLD = Journal._fold  # noqa: SLF001 - a mutant replaces what is private too
_MARKED = Takeover.marked
_OUTCOMES_READ = Takeover.outcomes_read
_PARKED_READ = Takeover.parked_read
_READ_BACK = Takeover.read_back


def _mark_without_claim(self: Takeover) -> Command:
    _CLAIM(self)
    return self.claimed()


def _claim_known(self: Takeover, outcomes_from: int | None, parked_from: int | None, epoch: int | None) -> Command:
    claim = _CLAIM(self)
    if not isinstance(claim, Claim):
        raise TypeError
    known = Committed(
        frontier=claim.offset,
        epoch=self.epoch,
        outcomes_from=outcomes_from,
        parked_from=parked_from,
        parked_epoch=epoch,
        events_from=self.events_from,
    )
    return Claim(offset=claim.offset, metadata=known.metadata())


def _claim_with_known_outcomes(self: Takeover) -> Command:
    committed = self._committed
    position = self.marks.outcomes if self.marks.outcomes >= 0 else committed.outcomes_from
    return _claim_known(self, position, committed.parked_from, committed.parked_epoch)


def _claim_with_known_parks(self: Takeover) -> Command:
    committed = self._committed
    if self.marks.parked < 0:
        return _CLAIM(self)
    return _claim_known(self, committed.outcomes_from, self.marks.parked, self.epoch)


def _forget_what_ended(self: Takeover, entries: Sequence[OutcomeEntry]) -> None:
    _OUTCOMES_READ(self, [entry for entry in entries if isinstance(entry.record, Taken)])


def _ignore_rivals_in_outcomes(self: Takeover, entries: Sequence[OutcomeEntry]) -> None:
    _OUTCOMES_READ(self, [entry for entry in entries if not isinstance(entry.record, Taken)])


def _ignore_rivals_in_parked(self: Takeover, entries: Sequence[ParkedEntry]) -> None:
    self._journal.fold(entries)


def _ignore_rivals(self: Takeover) -> Command | None:
    self._highest_taken = 0
    return _READ_BACK(self)


def _ignore_rivals_of_the_same_epoch(self: Takeover) -> Command | None:
    if self._highest_taken == self.epoch:
        self._highest_taken -= 1
    return _READ_BACK(self)


def _take_outcomes_marks_for_ours_by_name(self: Takeover, entries: Sequence[OutcomeEntry]) -> None:
    ours = [entry for entry in entries if isinstance(entry.record, Taken) and entry.record.member == self._member]
    _OUTCOMES_READ(self, [entry for entry in entries if entry not in ours])


def _take_parked_marks_for_ours_by_name(self: Takeover, entries: Sequence[ParkedEntry]) -> None:
    before = self._highest_taken
    _PARKED_READ(self, entries)
    marks = [entry.note for entry in entries if isinstance(entry.note, Taken)]
    self._highest_taken = max(before, *(mark.epoch for mark in marks if mark.member != self._member), 0)


def _outcomes_once(self: Takeover, marks: Marks) -> Command:
    if self.marks.outcomes >= 0:
        vars(self)["read_before"] = self.marks.outcomes
    return _MARKED(self, marks)


def _read_outcomes_on(self: Takeover) -> Command | None:
    command = _READ_BACK(self)
    before = vars(self).get("read_before")
    if before is None or not isinstance(command, ReadBack):
        return command
    return ReadBack(log=Log.OUTCOMES, start=before, until=command.until)


def _fold_void_parks(self: Journal, entry: ParkedEntry) -> None:
    if isinstance(entry.note, Park):
        self._view.put(entry.note, entry.record, entry.position)
    else:
        _FOLD(self, entry)


def _fold_lower_marks(self: Journal, entry: ParkedEntry) -> None:
    _FOLD(self, entry)
    if isinstance(entry.note, Taken):
        self.epoch = entry.note.epoch


def _fold_parks_without_their_epoch(self: Journal, entry: ParkedEntry) -> None:
    epoch = self.epoch
    _FOLD(self, entry)
    if isinstance(entry.note, Park):
        self.epoch = epoch


def _fold_no_parks(self: Journal, entry: ParkedEntry) -> None:
    if not isinstance(entry.note, Park):
        _FOLD(self, entry)


def _outcomes_of_the_frontier_only(self: Takeover, entries: Sequence[OutcomeEntry]) -> None:
    """Begin at the time of the record at the frontier, whatever is parked for longer."""
    frontier, state = self._committed.frontier, vars(self)
    for entry in entries:
        if isinstance(entry.record, Ended) and entry.record.offset >= frontier:
            state["begun"] = True
        if self._committed.outcomes_from is not None or state.get("begun") or isinstance(entry.record, Taken):
            _OUTCOMES_READ(self, [entry])


def _unknown_is_the_end(self: Takeover) -> int:
    known = self._committed.outcomes_from
    return self.marks.outcomes if known is None else known


def _begin_and_forget(self: Parking, epoch: int, mark: int) -> list[WriteSettle]:
    settles = _BEGIN(self, epoch, mark)
    vars(self)["settled_before"] = {settle.offset for settle in settles}
    return settles


def _outcomes_settled_here(self: Parking) -> int | None:
    before = vars(self)["settled_before"]
    return min((place for at, place in self._unsettled.items() if at not in before), default=None)


def _end_and_forget(self: Scratch) -> Sequence[tuple[int, int]]:
    ended = _ENDED_AND_PARKED(self)
    for at, _ in ended:
        self._do("UPDATE parked SET position = NULL WHERE at = ?", (at,))
    return ended


def _settle_nothing(self: Parking, epoch: int, mark: int) -> list[Command]:
    self._epoch = epoch
    self.end = mark + 1
    self._view.ended_and_parked()
    self._view.offer_all()
    return []


TAKEOVER = (
    Mutant(
        "the start forgotten",
        "B: every commit carries on where the group began",
        lambda: replaced(Takeover, "events_from", property(lambda _: None)),
    ),
    Mutant("no claim", "Claim †", lambda: replaced(Takeover, "claim", _mark_without_claim)),
    Mutant("outcomes forgotten", "S †", lambda: replaced(Takeover, "outcomes_read", _forget_what_ended)),
    Mutant("parks forgotten", "read back both logs", lambda: replaced(Journal, "_fold", _fold_no_parks)),
    Mutant(
        "X claimed before it is read",
        "the claim commits X as unknown †",
        lambda: replaced(Takeover, "claim", _claim_with_known_outcomes),
    ),
    Mutant(
        "P claimed before it is read",
        "the claim commits P as unknown †",
        lambda: replaced(Takeover, "claim", _claim_with_known_parks),
    ),
    Mutant(
        "rival ignored",
        "a `taken` not lower than ours: claim again; the epoch is above every `taken` †",
        lambda: replaced(Takeover, "read_back", _ignore_rivals),
    ),
    Mutant(
        "rival in the outcomes ignored",
        "above every `taken` in both †",
        lambda: replaced(Takeover, "outcomes_read", _ignore_rivals_in_outcomes),
    ),
    Mutant(
        "rival in the parked log ignored",
        "above every `taken` in both †",
        lambda: replaced(Takeover, "parked_read", _ignore_rivals_in_parked),
    ),
    Mutant(
        "rival of the same epoch ignored",
        "a `taken` not lower than ours: claim again",
        lambda: replaced(Takeover, "read_back", _ignore_rivals_of_the_same_epoch),
    ),
    Mutant(
        "rival of our name in the outcomes ignored",
        "a `taken` of somebody else: ours is known by its position",
        lambda: replaced(Takeover, "outcomes_read", _take_outcomes_marks_for_ours_by_name),
    ),
    Mutant(
        "rival of our name in the parked log ignored",
        "a `taken` of somebody else: ours is known by its position",
        lambda: replaced(Takeover, "parked_read", _take_parked_marks_for_ours_by_name),
    ),
    Mutant(
        "outcomes not read again after a second claim",
        "outcomes are read from X after every claim but the first",
        lambda: both(replaced(Takeover, "marked", _outcomes_once), replaced(Takeover, "read_back", _read_outcomes_on)),
    ),
    Mutant(
        "void parks count",
        "a `park` of a lower epoch is void †",
        lambda: replaced(Journal, "_fold", _fold_void_parks),
        rare=19,
    ),
    Mutant(
        "a lower mark lowers the epoch",
        "a lower `taken` changes nothing",
        lambda: replaced(Journal, "_fold", _fold_lower_marks),
        test=test_a_lower_mark_changes_nothing,
    ),
    Mutant(
        "a park does not say its epoch",
        "a `park` of a lower epoch is void, and marks are deleted †",
        lambda: replaced(Journal, "_fold", _fold_parks_without_their_epoch),
        test=test_a_park_proves_its_epoch_where_nothing_is_committed,
    ),
    Mutant(
        "what ended stays parked",
        "an entry that ended is taken out",
        lambda: replaced(Scratch, "ended_and_parked", lambda _: ()),
    ),
    Mutant(
        "X passes what a takeover settles",
        "until that is acknowledged it still counts for X †",
        lambda: both(
            replaced(Parking, "begin", _begin_and_forget), replaced(Parking, "outcomes_from", _outcomes_settled_here)
        ),
        rare=64,
    ),
    Mutant(
        "P passes what a takeover settles",
        "until that is acknowledged it still counts for P †",
        lambda: replaced(Scratch, "ended_and_parked", _end_and_forget),
        rare=64,
    ),
    Mutant(
        "outcomes of what is parked not read without metadata",
        "no metadata: from the oldest park that survives the fold †",
        lambda: replaced(Takeover, "outcomes_read", _outcomes_of_the_frontier_only),
    ),
    Mutant(
        "outcomes not read without metadata",
        "no metadata: read both logs first",
        lambda: replaced(Takeover, "outcomes_from", property(_unknown_is_the_end)),
    ),
    Mutant(
        "no settle at takeover", "and `settle` is written for it", lambda: replaced(Parking, "begin", _settle_nothing)
    ),
)

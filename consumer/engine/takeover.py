"""Takeover: what a member does with a newly assigned partition before it handles anything.

Claim, mark, read back. The claim's commit raises the epoch, so that owners stand in a row and a replaced owner's
commits are refused. The mark is a record in both logs: what lies before it is read back, and so every outcome and
every park acknowledged to an earlier owner is known before the first event starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consumer.engine.commands import Claim, Command, Log, Mark, ReadBack
from consumer.engine.committed import Committed
from consumer.engine.parking import Journal, ParkedEntry, ParkedView
from schemas.outcome import Ended, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEntry:
    """One record of the outcomes log, at its position."""

    position: int
    record: Ended | Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Where our own mark lies in each log."""

    outcomes: int
    parked: int


class Takeover:
    """Take one partition over; each method is the answer to a command and gives the next one, None when done.

    The parked log is read first: the latest owner's mark is always in it, since nobody deletes beyond their own. So
    when no epoch is known, the first reading shows what epoch to claim, and the outcomes are read only after that.
    They are read from the start again after every claim but the first: an event parked behind the earlier mark may
    have its outcome before it.
    """

    def __init__(self, committed: Committed, member: str, view: ParkedView) -> None:
        self._committed = committed
        self._member = member
        self._view = view
        self._journal = Journal(view, committed.parked_epoch or 0)
        self._parked_from = committed.parked_from or 0
        self._reading = Log.PARKED
        self._highest_taken = committed.epoch
        self.epoch = committed.epoch
        self.marks = Marks(outcomes=-1, parked=-1)

    @property
    def outcomes_from(self) -> int:
        """Give the position from which this takeover has read the outcomes log."""
        return self._committed.outcomes_from or 0

    @property
    def events_from(self) -> int | None:
        """Give the offset with which the group began."""
        return self._committed.events_from

    def claim(self) -> Command:
        """Claim the partition, under an epoch above all that are known; what is unknown stays so until all is read."""
        self.epoch = self._highest_taken + 1
        claim = Committed(
            frontier=self._committed.frontier,
            epoch=self.epoch,
            outcomes_from=self._committed.outcomes_from,
            parked_from=self._committed.parked_from,
            parked_epoch=self._committed.parked_epoch,
            events_from=self._committed.events_from,
        )
        return Claim(offset=claim.frontier, metadata=claim.metadata())

    def claimed(self) -> Command:
        """Go on when the claim is committed."""
        return Mark(taken=Taken(epoch=self.epoch, member=self._member))

    def marked(self, marks: Marks) -> Command:
        """Go on when the marks are acknowledged."""
        self.marks = marks
        self._reading = Log.PARKED
        return ReadBack(log=Log.PARKED, start=self._parked_from, until=marks.parked)

    def parked_read(self, entries: Sequence[ParkedEntry]) -> None:
        """Fold a stretch of the parked log."""
        self._journal.fold(entries)
        for entry in entries:
            if isinstance(entry.note, Taken) and entry.position != self.marks.parked:
                self._highest_taken = max(self._highest_taken, entry.note.epoch)

    def parked_cut(self, low: int) -> None:
        """Take note that the parked log begins at `low` by now, when it has been read.

        Somebody may have deleted what settles an event while we were between its park and that. What is deleted did
        not count any more.
        """
        self._view.forget_below(low)

    def outcomes_read(self, entries: Sequence[OutcomeEntry]) -> None:
        """Fold a stretch of the outcomes log."""
        for entry in entries:
            if isinstance(entry.record, Taken) and entry.position != self.marks.outcomes:
                self._highest_taken = max(self._highest_taken, entry.record.epoch)
        ended = [
            (entry.record.offset, entry.record.id, entry.position)
            for entry in entries
            if isinstance(entry.record, Ended)
        ]
        self._view.add_ended(ended, self._committed.frontier)

    def read_back(self) -> Command | None:
        """Go on when a log has been read up to the mark: the other one, done, or claim again above a rival."""
        self._parked_from = self.marks.parked + 1
        self._journal.raise_epoch(self.epoch)
        if self._highest_taken >= self.epoch:
            return self.claim()
        if self._reading is Log.OUTCOMES:
            return None
        self._reading = Log.OUTCOMES
        return ReadBack(log=Log.OUTCOMES, start=self.outcomes_from, until=self.marks.outcomes)

"""Takeover: what a member does with a newly assigned partition before it handles anything.

Claim, mark, read back. The claim's commit raises the epoch, so that owners stand in a row and a replaced owner's
commits are refused. The mark is a record in the outcomes log: what lies before it is read back, and so every outcome
acknowledged to an earlier owner is known before the first event starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consumer.engine.commands import Claim, Command, Mark, ReadBack, Survey
from consumer.engine.committed import Committed
from schemas.outcome import Ended, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One record of the outcomes log, at its position."""

    position: int
    record: Ended | Taken


class Takeover:
    """Take one partition over; each method is the answer to a command and gives the next one, None when done."""

    def __init__(self, committed: Committed, member: str) -> None:
        self._committed = committed
        self._member = member
        self._read_from = committed.outcomes_from
        self._highest_taken = committed.epoch
        self.epoch = committed.epoch + 1
        self.mark = -1
        self.ended: dict[int, str] = {}

    @property
    def outcomes_from(self) -> int:
        """Give the position from which this takeover has read the outcomes log."""
        return self._committed.outcomes_from or 0

    def begin(self) -> Command:
        """Claim at once if the commit says where to read back from; else read everything first to learn the epoch."""
        return Survey() if self._read_from is None else self._claim()

    def surveyed(self, end: int) -> Command:
        """Go on when the log has been read up to, but not including, `end`."""
        self._read_from = end
        return self._claim()

    def claimed(self) -> Command:
        """Go on when the claim is committed."""
        return Mark(taken=Taken(epoch=self.epoch, member=self._member))

    def marked(self, position: int) -> Command:
        """Go on when the mark is acknowledged at `position`."""
        self.mark = position
        return ReadBack(start=self._read_from or 0, until=position)

    def history_read(self, entries: Sequence[HistoryEntry]) -> None:
        """Fold a stretch of the outcomes log."""
        for entry in entries:
            if isinstance(entry.record, Taken):
                self._fold_taken(entry.record, entry.position)
            elif entry.record.offset >= self._committed.frontier:
                self.ended[entry.record.offset] = entry.record.id

    def read_back(self) -> Command | None:
        """Go on when the log has been read up to the mark: done, or claim again above a rival."""
        if self._highest_taken < self.epoch:
            return None
        self._read_from = self.mark + 1
        return self._claim()

    def _fold_taken(self, taken: Taken, position: int) -> None:
        if position != self.mark:
            self._highest_taken = max(self._highest_taken, taken.epoch)

    def _claim(self) -> Command:
        self.epoch = self._highest_taken + 1
        claim = Committed(
            frontier=self._committed.frontier, epoch=self.epoch, outcomes_from=self._committed.outcomes_from
        )
        return Claim(offset=claim.frontier, metadata=claim.metadata())

"""Parking: which events wait in the parked log, whose turn is next, and what of the log still counts.

The log is the truth; the view is a copy of what counts in it, made at takeover, and kept up to date by what is
acknowledged. An event's life here: parked ─▶ acknowledged ─▶ turn ─▶ parked again, or ended ─▶ settled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from sys import maxsize
from typing import Protocol

from consumer.engine.commands import WritePark, WriteSettle
from consumer.engine.doors import Doors
from consumer.engine.lanes import Waiting
from schemas.outcome import Taken
from schemas.parked import Park, Settle, write_note
from schemas.record import Record, size_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEntry:
    """One record of the parked log, at its position."""

    position: int
    note: Park | Settle | Taken
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event of the view: the note it was last parked with, and its own record. `waits` is False once it ended."""

    note: Park
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The lowest event of a parked lane that has not ended, and its door; `ready` unless it is written or called."""

    offset: int
    door: bytes
    due: int
    ready: bool


class Foldable(Protocol):
    """Keeps what the parked log says when it is folded."""

    def put(self, note: Park, record: Record, position: int | None) -> None:
        """Keep an event, in place of what is kept at its offset; no position while its record is being written."""

    def remove(self, offset: int) -> None:
        """Forget an event, if it is kept."""


class ParkedView(Foldable, Protocol):
    """Keeps what counts in the parked log of one partition, and which offsets have ended, outside of memory.

    Nothing in it has to survive this tenure.
    """

    count: int
    """Events kept, those included that ended and are not settled yet."""
    size: int
    """Bytes of them."""

    def park_again(self, note: Park) -> None:
        """Note that an event is being parked again; its old record counts until that is acknowledged."""

    def acknowledge(self, offset: int, position: int, epoch: int) -> tuple[bytes, bool]:
        """Note where an event's record lies, and of which epoch; give its lane, and whether it is its first."""

    def event(self, offset: int) -> ParkedEvent | None:
        """Get an event."""

    def id_at(self, offset: int) -> str | None:
        """Get the id of the event parked at an offset."""

    def end(self, offset: int) -> None:
        """Take an event out of its lane; its record counts until `remove`."""

    def forget_below(self, low: int) -> None:
        """Forget the events whose records lie below a position."""

    def has_lane(self, lane: bytes) -> bool:
        """Say whether an event of the lane waits."""

    def head(self, lane: bytes) -> Head | None:
        """Get the lowest event of a lane that waits."""

    def is_covered(self, offset: int) -> bool:
        """Say whether an event with an equal body waits behind this one in its lane."""

    def oldest(self) -> tuple[int, int] | None:
        """Get the lowest position that still counts, and the epoch of the record there."""

    def oldest_waiting(self, most: int) -> Sequence[ParkedEvent]:
        """List events that wait and are neither being written nor called, by rising position."""

    def offer(self, lane: bytes, head: Head) -> None:
        """Note whose turn it is in a lane that nobody is handling."""

    def withdraw(self, lane: bytes) -> None:
        """Note that nobody of a lane may be called for now."""

    def put_back(self, offset: int) -> None:
        """Note that an event whose turn was taken is not called after all."""

    def offer_all(self) -> None:
        """Offer every lane's head."""

    def take_turn(self, now: int, below: int, doors: Doors) -> tuple[int, bool] | None:
        """Take the next turn that is due, of each door in turn; give the event's offset, which is below `below`.

        The event may be called now: it is out of the turns until it is parked again or ends. It is a probe, says the
        second value, if its door is closed.
        """

    def look_again(self, doors: Doors, now: int) -> None:
        """Take note that doors that were shut may not be so any more."""

    def bring_forward(self, latest: int) -> None:
        """Let no turn be due later than this."""

    def add_ended(self, entries: Iterable[tuple[int, str, int]], frontier: int) -> None:
        """Note outcomes read back: offset, id and position; those below `frontier` matter to what is parked only."""

    def ended_and_parked(self) -> Sequence[tuple[int, int]]:
        """List what is kept and has ended, with the position of its outcome; they count as ended from now on."""

    def ended_id(self, offset: int) -> str | None:
        """Get the id of the event at an offset that had ended at takeover."""

    def highest_known(self) -> tuple[int, int]:
        """Get the highest offset that had ended at takeover, and the highest that is parked; -1 for none."""


class Journal:
    """Fold the parked log into the view."""

    def __init__(self, view: Foldable, epoch: int) -> None:
        self._view = view
        self._next = 0
        self.epoch = epoch
        """The epoch current behind what has been folded."""

    def fold(self, entries: Sequence[ParkedEntry]) -> None:
        """Fold a stretch; what was folded before, and is read again since reading failed, changes nothing."""
        for entry in entries:
            if entry.position >= self._next:
                self._next = entry.position + 1
                self._fold(entry)

    def raise_epoch(self, epoch: int) -> None:
        """Take note of a mark: from here on, what an earlier epoch parks is void."""
        self.epoch = max(self.epoch, epoch)

    def _fold(self, entry: ParkedEntry) -> None:
        match entry.note:
            case Taken(epoch=epoch):
                self.raise_epoch(epoch)
            case Settle(offset=offset):
                self._view.remove(offset)
            case Park(epoch=epoch) as note if epoch >= self.epoch:
                # Its mark is before it, and may have been deleted: nothing else may say which epoch this is.
                self.raise_epoch(epoch)
                self._view.put(note, entry.record, entry.position)
            case Park():
                """Void: whoever wrote it had been replaced by then."""


class Parking:
    """Say which lanes are parked and whose turn is next, and know what of the parked log still counts."""

    def __init__(self, view: ParkedView, longest: int = maxsize) -> None:
        self._view = view
        self._longest = longest
        self._latest = maxsize
        self._unsettled: dict[int, int] = {}
        self._epoch = 0
        self.end = 0
        """The end of the parked log as known by acknowledgements."""
        self._sizes: dict[int, int] = {}
        self.bytes_writing = 0
        """Bytes of the parks that are not acknowledged yet."""

    def begin(self, epoch: int, mark: int) -> list[WriteSettle]:
        """Go on from what the takeover of this epoch has read back, up to its mark."""
        self._epoch = epoch
        self.end = mark + 1
        settles = [self.settle(offset, outcome) for offset, outcome in self._view.ended_and_parked()]
        self._view.offer_all()
        return settles

    @property
    def count(self) -> int:
        """Count the events that wait here."""
        return self._view.count - len(self._unsettled)

    @property
    def writing(self) -> int:
        """Count the parks that are not acknowledged yet."""
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Count the bytes of what is kept outside of memory."""
        return self._view.size

    def holds(self, lane: bytes) -> bool:
        """Say whether the lane is parked: whatever of it is read has to be parked as well."""
        return self._view.count > 0 and self._view.has_lane(lane)

    def park(self, note: Park, record: Record) -> WritePark:
        """Park an event."""
        self._view.put(note, record, None)
        return self._write(note, record)

    def park_again(self, note: Park) -> WritePark:
        """Park an event again, under a new note."""
        kept = self._kept(note.offset)
        self._view.park_again(note)
        return self._write(note, kept.record)

    def written(self, offset: int, position: int) -> tuple[bytes, bool]:
        """Take note that a park is acknowledged; give the lane, and whether that was the event's first."""
        self.bytes_writing -= self._sizes.pop(offset)
        self.end = max(self.end, position + 1)
        return self._view.acknowledge(offset, position, self._epoch)

    def offer(self, lane: bytes, changed: int | None = None) -> None:
        """Let a lane that nobody is handling have its turn when it is due; only if its head has `changed`, if given."""
        head = self._view.head(lane) if self._view.count else None
        if head is not None and head.ready and changed in (None, head.offset):
            self._view.offer(lane, head if head.due <= self._latest else replace(head, due=self._latest))

    def take_turn(self, now: int, below: int, doors: Doors) -> tuple[ParkedEvent, bool] | None:
        """Take the next event whose turn it is, and say whether it is a probe.

        One at or above `below` waits: an earlier one may be read yet.
        """
        if not self._view.count:
            return None
        turn = self._view.take_turn(now, below, doors)
        return None if turn is None else (self._kept(turn[0]), turn[1])

    def look_again(self, doors: Doors, now: int) -> None:
        """Take note of the time: doors that were shut may not be so any more.

        And no turn is further off than the longest wait there is: it would be one that a clock has set which was wrong,
        ours before it was set back, or an earlier owner's.
        """
        before, self._latest = self._latest, now + self._longest
        if self._view.count:
            if self._latest < before:
                self._view.bring_forward(self._latest)
            self._view.look_again(doors, now)

    def put_back(self, waiting: Waiting) -> None:
        """Take an event's turn back: it was not called, and waits as it did."""
        self._view.put_back(waiting.offset)
        self.offer(waiting.lane)

    def is_covered(self, offset: int) -> bool:
        """Say whether an event with an equal body waits behind this one in its lane."""
        return self._view.is_covered(offset)

    def ended(self, offset: int) -> None:
        """Take note that an event ended: its lane may go on without it."""
        self._view.end(offset)

    def settle(self, offset: int, outcome: int) -> WriteSettle:
        """Settle an event whose outcome lies at this position; both count until that is acknowledged."""
        self._unsettled[offset] = outcome
        return WriteSettle(offset=offset, record=write_note(Settle(offset=offset)))

    def settled(self, offset: int, position: int) -> None:
        """Take note that a settle is acknowledged."""
        self.end = max(self.end, position + 1)
        del self._unsettled[offset]
        self._view.remove(offset)

    def outcomes_from(self) -> int | None:
        """Get the lowest position of an outcome whose settle is not acknowledged yet."""
        return min(self._unsettled.values(), default=None)

    def counts_from(self) -> tuple[int, int]:
        """Get the position from which parked records still count, and the epoch current there."""
        return self._view.oldest() or (self.end, self._epoch)

    def stale(self, span: int, most: int) -> Sequence[ParkedEvent]:
        """List the events that have to be parked again, so that the log can be cut: it is long for what it holds."""
        oldest = self._view.oldest()
        if oldest is None or self.writing >= most or self.end - oldest[0] <= span + 2 * self._view.count:
            return ()
        return self._view.oldest_waiting(most)

    def rewrite(self, event: ParkedEvent) -> WritePark:
        """Park an event that waits again as it is, under our epoch."""
        lane, offset = event.record.key or b"", event.note.offset
        head = self._view.head(lane)
        if head is not None and head.offset == offset:
            self._view.withdraw(lane)
        return self.park_again(event.note.model_copy(update={"epoch": self._epoch}))

    def _write(self, note: Park, record: Record) -> WritePark:
        written = write_note(note, record)
        self._sizes[note.offset] = size_of(written)
        self.bytes_writing += self._sizes[note.offset]
        return WritePark(offset=note.offset, record=written)

    def _kept(self, offset: int) -> ParkedEvent:
        event = self._view.event(offset)
        if event is None:
            raise LookupError(f"the event at offset {offset} is not parked")
        return event

"""The ledger: one byte for each offset of a stretch of one partition, and a fold of what the three logs say of it.

Nine bytes an event, whatever it holds: the byte, and a hash of the event's id. An outcome belongs to an offset *and*
an id, since a topic may have been deleted and made anew.
"""

import re
from array import array
from collections.abc import Iterator

from consumer.audit.report import Counts
from schemas.outcome import OutcomeKind

_KIND = 0b111
_PRESENT, _PARKED, _REPEATED = 8, 16, 32
_STATES = 64
_ENDED_AGAIN = re.compile(b"[%b]" % re.escape(bytes(state for state in range(_STATES) if state & _REPEATED)))
KINDS = {kind.value: number for number, kind in enumerate(OutcomeKind, start=1)}

NO_ID = hash("")
"""The identity of a record that cannot be read; its outcome has an empty id."""


class Ledger:
    """What became of the events at `offsets` of one partition. Anything about other offsets is passed over.

    Identities are `hash(id)`, so they compare within one process only.
    """

    def __init__(self, offsets: range) -> None:
        self.offsets = offsets
        self._states = bytearray(len(offsets))
        self._ids = array("q", bytes(8 * len(offsets)))
        self._since = 0
        self.epoch = 0
        """The epoch current in the parked log behind what has been folded."""

    def begins_at(self, milliseconds: int) -> None:
        """Take note of when the first event was appended: an outcome without an id says no more about its event."""
        self._since = self._since or milliseconds

    def event(self, offset: int, identity: int) -> None:
        """Take note of an event of the source."""
        at = offset - self.offsets.start
        if 0 <= at < len(self._states):
            self._states[at] |= _PRESENT
            self._ids[at] = identity

    def leave_out(self, below: int) -> int:
        """Forget the events below an offset: they are none of the group's. Give how many they are."""
        at = self._index(below)
        events = at - self._states.count(0, 0, at)
        self._states[:at] = bytes(at)
        return events

    def ended(self, offset: int, identity: int, kind: int, received: int) -> None:
        """Take note of an outcome: its kind as a number of `KINDS`, and when the event was received in milliseconds."""
        at = offset - self.offsets.start
        if not 0 <= at < len(self._states):
            return
        if identity != self._ids[at] and (identity != NO_ID or received < self._since):
            return
        state = self._states[at]
        if state & _PRESENT:
            self._states[at] = state | _REPEATED if state & _KIND else state | kind

    def park(self, epoch: int, offset: int, identity: int) -> None:
        """Take note of a park; it is void if whoever wrote it had been replaced by then."""
        if epoch < self.epoch:
            return
        self.epoch = epoch
        at = offset - self.offsets.start
        if 0 <= at < len(self._states) and self._states[at] and identity == self._ids[at]:
            self._states[at] |= _PARKED

    def settle(self, offset: int) -> None:
        """Take note that an event waits no longer."""
        at = offset - self.offsets.start
        if 0 <= at < len(self._states):
            self._states[at] &= ~_PARKED

    def taken(self, epoch: int) -> None:
        """Take note of a takeover's mark in the parked log."""
        self.epoch = max(self.epoch, epoch)

    def has_suspects(self, frontier: int) -> bool:
        """Say whether an event below the frontier has neither ended nor been parked."""
        return self._states.find(_PRESENT, 0, self._index(frontier)) >= 0

    def suspects(self, frontier: int) -> Iterator[int]:
        """Give the offsets of these events."""
        stop = self._index(frontier)
        at = self._states.find(_PRESENT, 0, stop)
        while at >= 0:
            yield self.offsets.start + at
            at = self._states.find(_PRESENT, at + 1, stop)

    def repeated(self) -> Iterator[int]:
        """Give the offsets of events that ended more than once."""
        return (self.offsets.start + found.start() for found in _ENDED_AGAIN.finditer(self._states))

    def counts(self, frontier: int, known_from: int) -> Counts:
        """Count the events by what became of them.

        `frontier` is the committed one; outcomes of events at or above `known_from` cannot have expired.
        """
        below, known = self._index(frontier), self._index(min(frontier, known_from))
        present = {state: self._states.count(state) for state in range(_STATES) if state & _PRESENT}
        suspects = self._states.count(_PRESENT, 0, below)
        unknown = self._states.count(_PRESENT, 0, known)
        ended = {
            kind: sum(count for state, count in present.items() if state & _KIND == number)
            for kind, number in KINDS.items()
        }
        return Counts(
            events=sum(present.values()),
            parked=present[_PRESENT | _PARKED],
            in_progress=present[_PRESENT] - suspects,
            unaccounted=suspects - unknown,
            unknown=unknown,
            repeated=sum(count for state, count in present.items() if state & _REPEATED),
            **ended,
        )

    def _index(self, offset: int) -> int:
        return min(max(0, offset - self.offsets.start), len(self._states))

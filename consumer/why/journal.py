"""The parked journal, folded as a takeover folds it, but kept only as far as it is asked about."""

from collections.abc import Callable, Iterable, Mapping

from consumer.engine.parking import Journal, ParkedEntry
from schemas.outcome import Taken
from schemas.parked import Park, Settle, read_note
from schemas.record import ReceivedRecord, Record

_NOBODY = "somebody"


class _Kept:
    """Keeps parks by the events' offsets, with their keys and without their bodies."""

    def __init__(self) -> None:
        self.parks: dict[int, tuple[bytes, Park]] = {}

    def put(self, note: Park, record: Record, position: int | None) -> None:  # noqa: ARG002 - as Foldable has it
        """Keep a park."""
        self.parks[note.offset] = (record.key or b"", note)

    def remove(self, offset: int) -> None:
        """Forget a park."""
        self.parks.pop(offset, None)


def fold(
    records: Iterable[ReceivedRecord], epoch: int, matches: Callable[[bytes], bool]
) -> Mapping[int, tuple[bytes, Park]]:
    """Give what still counts of the parked log, by the events' offsets: their keys, and their last notes.

    `epoch` is the one current before the first of the records. Raises UnreadableRecord, as a takeover does.
    """
    kept = _Kept()
    journal = Journal(kept, epoch)
    for record in records:
        note, event = read_note(record)
        journal.fold([ParkedEntry(position=record.offset, note=_wanted(note, event, matches), record=event)])
    return kept.parks


def _wanted(note: Park | Settle | Taken, event: Record, matches: Callable[[bytes], bool]) -> Park | Settle | Taken:
    """Keep of a park that nobody asked about only what it says of the epoch."""
    if isinstance(note, Park) and not matches(event.key or b""):
        return Taken(epoch=note.epoch, member=_NOBODY)
    return note

"""Dying: what is being written to the dead letters, and how each of them ends when its letter is acknowledged."""

from consumer.engine import endings
from consumer.engine.commands import WriteDead
from consumer.engine.endings import Place, Unreadable
from consumer.engine.lanes import Tried, Waiting
from consumer.engine.retry import Failed
from schemas.dead import write_dead_letter
from schemas.outcome import Ended
from schemas.record import size_of, to_record


class Dying:
    """Keep what is given up until its letter is acknowledged; `bytes` is what their records cost in memory."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Waiting | Unreadable, Ended]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._of)

    def give_up(self, waiting: Waiting, tried: Tried, failed: Failed, now: int, place: Place) -> WriteDead:
        """Give up an event."""
        letter = endings.letter_of(waiting, tried, failed, now, place)
        self._of[waiting.offset] = (waiting, endings.dead(waiting, letter, place))
        self.bytes += waiting.size
        return WriteDead(offset=waiting.offset, record=write_dead_letter(letter, to_record(waiting.event)))

    def bury(self, found: Unreadable, now: int, place: Place) -> WriteDead:
        """Give up a record that is no event."""
        letter = endings.letter_of_unreadable(found, now, place)
        self._of[found.offset] = (found, endings.unreadable(found, letter, place))
        self.bytes += size_of(found.record)
        return WriteDead(offset=found.offset, record=endings.raw_letter(letter, found))

    def written(self, offset: int) -> tuple[Waiting | Unreadable, Ended]:
        """Take note of an acknowledged letter; give what was given up, and its outcome, to be written now."""
        dying, ended = self._of.pop(offset)
        self.bytes -= dying.size if isinstance(dying, Waiting) else size_of(dying.record)
        return dying, ended

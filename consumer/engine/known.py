"""Known: which offsets of a partition had been settled before this tenure: they ended, or they are parked."""

from consumer.engine.endings import Place, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedView
from schemas.errors import Permanent


class Known:
    """Say whether what is read had been settled, as the takeover found; and the highest such offsets, -1 for none."""

    def __init__(self, view: ParkedView, place: Place) -> None:
        self._view = view
        self._place = place
        self._up_to = self.ended_up_to = self.parked_up_to = -1

    def begin(self) -> None:
        """Take note that the logs have been read back."""
        self.ended_up_to, self.parked_up_to = self._view.highest_known()
        self._up_to = max(self.ended_up_to, self.parked_up_to)

    def is_settled(self, record: Waiting | Unreadable) -> bool:
        """Say whether a record had been settled. Raises Permanent if another event is parked for its offset."""
        if record.offset > self._up_to:
            return False
        name = record.event.id if isinstance(record, Waiting) else ""
        # By id too: an outcome at the same offset of a log that was deleted and made anew is another event's.
        if self._view.ended_id(record.offset) == name:
            return True
        parked = self._view.id_at(record.offset)
        if parked is not None and parked != name:
            raise Permanent(
                f"{self._place.topic}[{self._place.partition}]: another event than the one at offset {record.offset} "
                "is parked for it: the topic was deleted and made anew; read the group's parked topic out, delete "
                "the group's topics, and start again"
            )
        return parked is not None

"""The progress of a drain: what of the old layout one partition still has, as a fold of what Kafka says. Pure."""

from broker.layout import Layout, Standing
from schemas.outcome import Taken
from schemas.parked import Park, Settle

_NAMED = 20


class Late:
    """Find what is misplaced behind the boundary: its publisher learned of the new partitions after others had.

    The source is read from `position` on, up to where it ended when it was first asked.
    """

    def __init__(self, layout: Layout, partition: int, boundary: int) -> None:
        self._layout = layout
        self._partition = partition
        self._end: int | None = None
        self.position = boundary
        self.count = 0
        self.first: list[int] = []

    def source_ends(self, end: int) -> None:
        """Take note that the source ends at `end`; only the first time, or reading would follow what is written."""
        self._end = end if self._end is None else self._end

    def source(self, offset: int, key: bytes | None) -> None:
        """Take a record of the source; its offset is among the `first` if it is one of the first that are late."""
        self.position = offset + 1
        if self._layout.standing(key, self._partition) is Standing.MISPLACED:
            self.count += 1
            self.first += [offset] if len(self.first) < _NAMED else []

    def source_read(self, until: int) -> None:
        """Take note that the source was read up to `until`."""
        self.position = max(self.position, until)

    @property
    def is_read(self) -> bool:
        """Say whether the end has been reached."""
        return self._end is not None and self.position >= self._end


class Progress:
    """Fold what was committed, read of the source and read of the parked log, in this order at every look.

    The boundary is the offset of the first record moved in at or above the frontier; until one is found it is the end
    of what was read. What is parked counts if the new layout puts its key elsewhere: all other lanes stay where they
    are, and what is parked of them keeps its place before what is new. Nor does it count at or behind the boundary,
    where somebody parked it who did not drain: its turn comes when reading has passed it, and so after the drain.

    Each parked event that the new layout puts elsewhere costs some 120 bytes here.
    """

    def __init__(self, layout: Layout, partition: int) -> None:
        self._layout = layout
        self._partition = partition
        self._frontier = 0
        self._end: int | None = None
        self._boundary: int | None = None
        self._last_misplaced = -1
        self._epoch = 0
        self._parked: dict[int, int] = {}
        self._parked_from = 0
        self._forgotten_below = 0
        self.position = 0
        self.parked_position = 0

    def committed(self, frontier: int, parked_from: int, parked_epoch: int) -> None:
        """Take what the group has committed: the frontier, and where in the parked log what counts is, and its epoch.

        A frontier behind the boundary is that of somebody who did not drain: the boundary is looked for behind it.
        """
        self._frontier = frontier
        if self._boundary is not None and frontier > self._boundary:
            self._boundary = None
        self.position = max(self.position, frontier) if self._boundary is None else self.position
        if parked_from >= self.parked_position:
            self.parked_position, self._epoch = parked_from, max(self._epoch, parked_epoch)
        self._parked_from = parked_from

    @property
    def reads(self) -> bool:
        """Say whether the source has to be read on: the boundary is not found."""
        return self._boundary is None

    def source(self, offset: int, key: bytes | None) -> None:
        """Take a record of the source, at or behind `position`."""
        if self._boundary is not None:
            return
        self.position = offset + 1
        match self._layout.standing(key, self._partition):
            case Standing.MOVED_IN:
                self._boundary = offset
            case Standing.MISPLACED:
                self._last_misplaced = offset
            case Standing.STAYED:
                pass

    def source_read(self, until: int, end: int) -> None:
        """Take note that the source was read up to `until`, and ends at `end`."""
        self._end = end
        if self._boundary is None:
            self.position = max(self.position, until)

    def parked_log(self, position: int, note: Park | Settle | Taken, key: bytes | None) -> None:
        """Take a record of the parked log with the key of its event; a park of a replaced owner is void."""
        self.parked_position = position + 1
        match note:
            case Taken(epoch=epoch):
                self._epoch = max(self._epoch, epoch)
            case Park(epoch=epoch, offset=offset):
                if epoch >= self._epoch:
                    self._epoch = epoch
                    if self._layout.standing(key, self._partition) is Standing.MISPLACED:
                        self._parked[offset] = position
            case Settle(offset=offset):
                self._parked.pop(offset, None)

    def parked_read(self, until: int) -> None:
        """Take note that the parked log was read up to `until`.

        What lies before the committed position does not count any more: what settles it may be deleted by now.
        """
        self.parked_position = max(self.parked_position, until)
        if self._parked_from > self._forgotten_below:
            for offset in [offset for offset, position in self._parked.items() if position < self._parked_from]:
                del self._parked[offset]
            self._forgotten_below = self._parked_from

    @property
    def boundary(self) -> int:
        """Give the offset at which what may be handled ends, as far as it is known."""
        return self.position if self._boundary is None else self._boundary

    @property
    def left(self) -> int:
        """Count the offsets that have to be passed at most: up to the boundary, or to the end until that is found."""
        until = (self._end or 0) if self._boundary is None else self._boundary
        return max(0, until - self._frontier)

    @property
    def parked(self) -> int:
        """Count the events that are parked in a lane that moves, and have to end."""
        return sum(map(self._has_to_end, self._parked))

    @property
    def is_drained(self) -> bool:
        """Say whether nothing is left here that must end before the new layout begins."""
        is_known = self._boundary is not None or (self._end is not None and self.position >= self._end)
        has_passed = is_known and self._frontier > self._last_misplaced
        return has_passed and not any(map(self._has_to_end, self._parked))

    def _has_to_end(self, parked: int) -> bool:
        return self._boundary is None or parked < self._boundary

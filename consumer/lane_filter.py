"""The lane filter: says of most lanes, from memory alone, that nothing of them is parked.

Every event that is read asks about its lane, and hardly any lane is parked; a look into the database would cost as much
as all else that is decided about the event.
"""

from array import array
from collections.abc import Iterable

_CELL = "H"
_MOST_COUNTED = 2**16 - 1
"""A cell that has reached this says no more how many there are, and stays until all is counted anew."""
_FEWEST_CELLS = 1 << 12
_MOST_CELLS = 1 << 24
"""32 MiB; with more than a million parked lanes the filter only gets coarser."""
_CELLS_PER_LANE = 16


class LaneFilter:
    """Count the parked events of all lanes with equal hashes, in 32 to 64 bytes a lane.

    Where the count is 0, nothing of the lane is parked. Of lanes that are not parked, at most one in sixteen is not
    told so.
    """

    def __init__(self) -> None:
        self._cells = array(_CELL, [0]) * _FEWEST_CELLS
        self._occupied = 0

    def may_hold(self, lane: bytes) -> bool:
        """Say whether anything of the lane may be parked."""
        return self._cells[hash(lane) & (len(self._cells) - 1)] > 0

    def add(self, lane: bytes) -> bool:
        """Count an event; say whether the filter has become too coarse, so that all should be counted anew."""
        self._count(lane)
        return self._occupied * _CELLS_PER_LANE > len(self._cells) < _MOST_CELLS

    def remove(self, lane: bytes) -> None:
        """Count an event no more."""
        at = hash(lane) & (len(self._cells) - 1)
        if self._cells[at] < _MOST_COUNTED:
            self._cells[at] -= 1
            self._occupied -= not self._cells[at]

    def count_anew(self, lanes: Iterable[bytes]) -> None:
        """Count the lanes of all events that are parked, twice as fine as before."""
        self._cells = array(_CELL, [0]) * (2 * len(self._cells))
        self._occupied = 0
        for lane in lanes:
            self._count(lane)

    def _count(self, lane: bytes) -> None:
        at = hash(lane) & (len(self._cells) - 1)
        self._occupied += not self._cells[at]
        self._cells[at] = min(self._cells[at] + 1, _MOST_COUNTED)

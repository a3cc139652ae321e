"""The layout: in which partitions keys lie while a topic gets more of them. Pure."""

from dataclasses import dataclass
from enum import Enum

from broker.partitioner import MOST_POSITIVE, murmur2


class Standing(Enum):
    """What a record's key says of the partition that it lies in.

    `STAYED`: the old layout puts it there as the new one does, or it has no key, and so no lane. `MOVED_IN`: only the
    new layout puts it there. `MISPLACED`: the new layout puts it elsewhere.
    """

    STAYED = "stayed"
    MOVED_IN = "moved_in"
    MISPLACED = "misplaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Partition counts: `old` is the group's topics' (the least of them, if they differ), `new` the source's."""

    old: int
    new: int

    @property
    def moves_keys(self) -> bool:
        """Say whether the source has more partitions than the group has topics for."""
        return self.new > self.old

    def standing(self, key: bytes | None, partition: int) -> Standing:
        """Say how a record with this key stands in a partition below `old`."""
        if not key:
            return Standing.STAYED
        positive = murmur2(key) & MOST_POSITIVE
        if positive % self.new != partition:
            return Standing.MISPLACED
        return Standing.STAYED if positive % self.old == partition else Standing.MOVED_IN

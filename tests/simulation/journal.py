"""The journal of a partition: all of its logs, and what follows from them, worked out apart from the engine."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.engine.endings import Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedEntry
from schemas.outcome import Ended, Taken
from schemas.parked import Park, Settle
from tests.simulation.facts import Call, Facts


@dataclass(slots=True, kw_only=True, eq=False)
class Fold:
    """What counts in the parked log: the event at each offset, as it was parked last, and where."""

    epoch: int = 0
    table: dict[int, tuple[int, Park]] = field(default_factory=dict)
    void: int = 0

    def add(self, position: int, note: Park | Settle | Taken) -> bool:
        """Take the next record; False for a park that is void."""
        if isinstance(note, Taken):
            self.epoch = max(self.epoch, note.epoch)
        elif isinstance(note, Settle):
            self.table.pop(note.offset, None)
        elif note.epoch < self.epoch:
            self.void += 1
            return False
        else:
            self.epoch = note.epoch  # higher only where its mark has been deleted
            self.table[note.offset] = (position, note)
        return True

    def state(self) -> tuple[int, dict[int, int]]:
        """Give what two folds have to agree in: the epoch, and which record counts of each event."""
        return self.epoch, {offset: position for offset, (position, _) in self.table.items()}


def folded(entries: Sequence[ParkedEntry], epoch: int = 0) -> Fold:
    """Fold a stretch of the parked log; `epoch` is the one current where it begins."""
    fold = Fold(epoch=epoch)
    for entry in entries:
        fold.add(entry.position, entry.note)
    return fold


@dataclass(slots=True, kw_only=True, eq=False)
class Journal:
    """One partition.

    `landed` says where the first outcome of each event lies, and `last` the last one; `known` those that the next owner
    has to know, with their time. `parked_ever` are the events that were parked by a record that counted, `dead` those
    in the dead letters; `low` is the position below which the parked log is deleted. `faults` counts the calls of each
    event that failed for a reason of its own. `odd` are the positions of parks whose time was given by a clock that had
    leapt.
    """

    source: list[Waiting | Unreadable] = field(default_factory=list)
    outcomes: list[Ended | Taken] = field(default_factory=list)
    parked: list[ParkedEntry] = field(default_factory=list)
    fold: Fold = field(default_factory=Fold)
    low: int = 0
    lanes: dict[bytes, list[Waiting]] = field(default_factory=lambda: defaultdict(list))
    landed: dict[int, int] = field(default_factory=dict)
    known: dict[int, tuple[int, float]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    parked_ever: set[int] = field(default_factory=set)
    odd: set[int] = field(default_factory=set)
    settled: dict[int, int] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    faults: Counter[int] = field(default_factory=Counter)
    holder: Taken | None = None
    claimed: Facts | None = None
    verified: int = 0
    tenures: list[Facts] = field(default_factory=list)
    calls: dict[bytes, list[Call]] = field(default_factory=lambda: defaultdict(list))

    @property
    def quiet(self) -> bool:
        """Say whether everything has ended, and nothing is parked any more."""
        return len(self.landed) == len(self.source) and not self.fold.table

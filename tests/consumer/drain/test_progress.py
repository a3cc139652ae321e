"""The progress of a drain, against a naive reading of everything at once."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.layout import Layout, Standing
from broker.partitioner import partition_of
from consumer.drain.progress import Late, Progress
from schemas.outcome import Taken
from schemas.parked import Park, Settle, Why

LAYOUT = Layout(old=2, new=3)
PARTITION = 0


def keys(standing: Standing) -> list[bytes]:
    """Find keys that stand so in the partition; a misplaced one was written under the old layout."""
    found = [key for number in range(200) if LAYOUT.standing(key := b"a/%d" % number, PARTITION) is standing]
    return [key for key in found if standing is not Standing.MISPLACED or partition_of(key, LAYOUT.old) == PARTITION]


STAYED, MOVED_IN, MISPLACED = (keys(standing)[0] for standing in Standing.__members__.values())
KEYS = st.sampled_from([STAYED, STAYED, MISPLACED, MISPLACED, MOVED_IN, b""])


@dataclass(slots=True)
class Partition:
    """One partition and its parked log, handled in the simplest way: in the order of the log, or parked."""

    log: list[bytes]
    frontier: int = 0
    waiting: set[int] = field(default_factory=set)
    journal: list[Park | Settle | Taken] = field(default_factory=list)
    epoch: int = 1

    def boundary(self, start: int, end: int) -> int:
        """Find the first record that was moved in, or the end."""
        return next((at for at in range(start, end) if self.log[at] == MOVED_IN), end)

    def is_drained(self, start: int, end: int) -> bool:
        """Say whether nothing misplaced is left before the boundary, and nothing misplaced is parked."""
        boundary = self.boundary(start, end)
        return MISPLACED not in self.log[self.frontier : boundary] and not self.parked_before(boundary)

    def parked_before(self, end: int) -> int:
        """Count what is parked of lanes that move, before an offset."""
        return sum(self.log[at] == MISPLACED for at in self.waiting if at < end)

    def handle(self, *, parks: bool) -> None:
        """Settle the next record."""
        if self.frontier < self.boundary(0, len(self.log)):
            if parks and self.log[self.frontier]:
                self.park(self.frontier, self.epoch)
                self.waiting.add(self.frontier)
            self.frontier += 1

    def park(self, offset: int, epoch: int) -> None:
        """Write a park."""
        note = Park(epoch=epoch, offset=offset, id="", due=0, since=0, reason=Why.FAILED)
        self.journal.append(note)

    def park_beyond(self) -> None:
        """Park the last record if it lies beyond the boundary, as somebody does who did not drain."""
        last = len(self.log) - 1
        if last >= self.boundary(0, len(self.log)) and self.log[last]:
            self.park(last, self.epoch)
            self.waiting.add(last)

    def settle(self) -> None:
        """End the oldest that is parked; beyond the boundary nothing gets its turn."""
        oldest = min(self.waiting, default=len(self.log))
        if oldest < self.boundary(0, len(self.log)):
            self.journal.append(Settle(offset=oldest))
            self.waiting.discard(oldest)

    def replace_owner(self) -> None:
        """Take the partition over."""
        self.epoch += 1
        self.journal.append(Taken(epoch=self.epoch, member=""))

    def park_in_vain(self) -> None:
        """Let a replaced owner write a park, which is void."""
        if self.epoch > 1 and self.frontier < len(self.log) and self.log[self.frontier]:
            self.park(self.frontier, self.epoch - 1)

    @property
    def counts_from(self) -> int:
        """Give the position of the oldest park that still counts, or the end."""
        valid, epoch = {}, 0
        for position, note in enumerate(self.journal):
            epoch = max(epoch, note.epoch) if isinstance(note, Taken) else epoch
            if isinstance(note, Park) and note.epoch >= epoch and note.offset in self.waiting:
                valid[note.offset] = position
        return min(valid.values(), default=len(self.journal))

    def epoch_at(self, position: int) -> int:
        """Give the epoch that is current at a position."""
        return max((note.epoch for note in self.journal[:position] if isinstance(note, Taken)), default=0)


def look(progress: Progress, partition: Partition, share: int, *, metadata: bool = True) -> None:
    """Look as the driver does: what is committed, then the source, at most `share` records of it, then the journal."""
    start = partition.counts_from if metadata else 0
    progress.committed(partition.frontier, start, partition.epoch_at(start) if metadata else 0)
    if progress.reads:
        first = progress.position
        until = min(len(partition.log), first + share)
        for offset in range(first, until):
            progress.source(offset, partition.log[offset])
        progress.source_read(until, len(partition.log))
    deleted = start if metadata else 0  # what does not count any more may be gone
    for position in range(max(deleted, progress.parked_position), len(partition.journal)):
        note = partition.journal[position]
        progress.parked_log(position, note, partition.log[note.offset] if isinstance(note, Park) else None)
    progress.parked_read(len(partition.journal))


MOVES = ("handle", "park", "park", "beyond", "settle", "settle", "replace", "void")
LOOKS = ("look", "look", "look without metadata")
STEPS = st.lists(
    st.sampled_from([*MOVES, *LOOKS, STAYED, MISPLACED, MISPLACED, MOVED_IN]),
    min_size=10,
    max_size=30,
)


@settings(max_examples=500)
@given(log=st.lists(KEYS, min_size=1, max_size=12), steps=STEPS, share=st.sampled_from([1, 3, 20, 20]))
def test_a_drain_that_is_looked_at_now_and_then_knows_what_a_naive_reading_would(
    log: list[bytes], steps: list[str | bytes], share: int
) -> None:
    """Whatever was handled, parked, settled, taken over, appended and deleted between two looks."""
    partition, progress = Partition(log), Progress(LAYOUT, PARTITION)
    for step in steps:
        match step:
            case bytes():
                partition.log.append(step)
            case "handle" | "park":
                partition.handle(parks=step == "park")
            case "beyond":
                partition.park_beyond()
            case "settle":
                partition.settle()
            case "replace":
                partition.replace_owner()
            case "void":
                partition.park_in_vain()
            case _:
                look(progress, partition, share, metadata=step == "look")
                known = len(partition.log) if progress.reads else progress.boundary
                assert progress.parked == partition.parked_before(known)
    for _ in range(len(partition.log) + 1):
        look(progress, partition, share)
    boundary = partition.boundary(0, len(partition.log))
    assert progress.is_drained == partition.is_drained(0, len(partition.log))
    assert progress.parked == partition.parked_before(boundary)
    assert progress.left == boundary - partition.frontier


@given(log=st.lists(KEYS, min_size=1, max_size=6), share=st.integers(1, 7))
def test_what_is_not_read_yet_may_be_anything(log: list[bytes], share: int) -> None:
    """A look reads only so much; nobody calls a partition drained before its boundary is found, or its end."""
    partition, progress = Partition(log), Progress(LAYOUT, PARTITION)
    look(progress, partition, share)
    is_found = share > partition.boundary(0, len(log)) or share >= len(log)
    assert progress.is_drained == (is_found and partition.is_drained(0, len(log)))


def test_of_a_group_that_has_committed_nothing_nothing_is_known() -> None:
    """Before the first look, and while the source has records that nobody has settled."""
    progress = Progress(LAYOUT, PARTITION)
    assert not progress.is_drained
    look(progress, Partition([MISPLACED]), 9)
    assert not progress.is_drained


def test_lanes_that_stay_need_not_end() -> None:
    """What waits of them, in the source or parked, keeps its place before what is new."""
    partition, progress = Partition([STAYED, STAYED, MOVED_IN, MISPLACED]), Progress(LAYOUT, PARTITION)
    partition.handle(parks=True)
    look(progress, partition, 9)
    assert (progress.is_drained, progress.left, progress.parked) == (True, 1, 0)


def test_a_frontier_behind_the_boundary_moves_that() -> None:
    """Somebody who did not drain has passed it: what is misplaced behind it has to end all the same."""
    partition, progress = Partition([MOVED_IN, MISPLACED, MISPLACED, MOVED_IN, MISPLACED]), Progress(LAYOUT, PARTITION)
    look(progress, partition, 9)
    assert progress.is_drained
    both = (progress, Progress(LAYOUT, PARTITION))
    for frontier, found in ((2, (False, 1)), (3, (True, 0))):
        partition.frontier = frontier
        for each in both:
            look(each, partition, 9)
            assert (each.is_drained, each.left) == found


def test_what_is_parked_beyond_the_boundary_holds_nothing() -> None:
    """Its turn comes when reading has passed it, which draining keeps from happening: it would be waited for in vain.

    Unless the frontier passes it, by somebody who did not drain.
    """
    partition, progress = Partition([STAYED, MOVED_IN, MISPLACED]), Progress(LAYOUT, PARTITION)
    partition.park_beyond()
    look(progress, partition, 9)
    assert (progress.is_drained, progress.parked) == (True, 0)
    partition.log.append(MOVED_IN)
    partition.frontier = 3
    look(progress, partition, 9)
    assert (progress.is_drained, progress.parked) == (False, 1)


@given(log=st.lists(KEYS, max_size=60))
def test_what_is_misplaced_behind_the_boundary_is_counted_and_the_first_of_it_named(log: list[bytes]) -> None:
    """For that nobody can keep the order; whoever reads the warning finds the events."""
    late = Late(LAYOUT, PARTITION, 0)
    for offset, key in enumerate(log):
        late.source(offset, key)
    misplaced = [offset for offset, key in enumerate(log) if key == MISPLACED]
    assert (late.count, late.first) == (len(misplaced), misplaced[:20])


def test_what_is_late_is_looked_for_up_to_the_end_that_was_seen_first() -> None:
    """Others write on meanwhile; and the last offsets before an end may have no records."""
    late = Late(LAYOUT, PARTITION, 3)
    assert not late.is_read
    for end, until in ((5, 4), (9, 5)):
        assert not late.is_read
        late.source_ends(end)
        late.source(late.position, MISPLACED)
        late.source_read(until)
    assert (late.is_read, late.first) == (True, [3, 4])

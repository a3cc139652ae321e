"""The scratch against a dict: every method; and what it costs: no file that stays, no memory that grows."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.engine.doors import Doors
from consumer.engine.parking import Head, ParkedEvent
from consumer.scratch import Scratch
from schemas.parked import Park, Why
from schemas.record import Record
from tests.consumer.engine.given import park, record_of

LANES = (b"acme/one", b"acme/two", b"blue/one")
OFFSETS = st.integers(0, 11)
DUES = st.integers(0, 9)
INTERVAL = 3
LONGEST = 4
ROWS = st.lists(
    st.tuples(OFFSETS, st.sampled_from(LANES), DUES, st.sampled_from((b"1", b"2")), st.booleans()),
    max_size=8,
    unique_by=lambda row: row[0],
)


@dataclass(slots=True, kw_only=True)
class Kept:
    """One event, as the model keeps it."""

    note: Park
    record: Record
    position: int | None
    epoch: int
    busy: bool = False
    ended: bool = False
    outcome: int | None = None

    @property
    def lane(self) -> bytes:
        """Name its lane."""
        return self.record.key or b""


def door(lane: bytes) -> bytes:
    """Name a lane's door: all of its events are of one environment here."""
    return lane.split(b"/")[0] + b"/sandbox"


class ScratchMachine(RuleBasedStateMachine):
    """Use the scratch as the engine may."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Scratch()
        self.kept: dict[int, Kept] = {}
        self.turns: dict[bytes, Head] = {}
        self.doors = Doors(INTERVAL)
        self.probes: dict[bytes, int] = {}
        self.closed_at = 0
        self.now = 0
        self.ended: dict[int, str] = {}
        self.position = 0

    def teardown(self) -> None:
        """Close it."""
        self.scratch.close()

    def waiting(self, lane: bytes) -> list[int]:
        """List what waits in a lane."""
        return sorted(at for at, kept in self.kept.items() if kept.lane == lane and not kept.ended)

    def idle(self) -> list[int]:
        """List what is neither being written nor called, nor has ended."""
        return sorted(at for at, kept in self.kept.items() if not kept.busy and not kept.ended)

    def next_position(self) -> int:
        """Give the next place in the log."""
        self.position += 1
        return self.position

    # Taking over.

    @initialize(rows=ROWS)
    def is_filled(self, rows: Sequence[tuple[int, bytes, int, bytes, bool]]) -> None:
        """Fold a log, find that some have ended, and offer the rest."""
        for offset, lane, due, body, _ in rows:
            self.put(offset, lane, due, body, self.next_position())
        places = {offset: 100 + offset for offset, *_, has_ended in rows if has_ended}
        for known in (places, {11: 111}):
            self.scratch.add_ended([(at, f"event-{at}", place) for at, place in known.items()], 4)
        self.scratch.add_ended([(at, "another", 7) for at in places], 50)  # of another event: it means nothing
        self.ended = {at: f"event-{at}" for at in (*places, 11) if at >= 4}
        places |= {11: 111} if 11 in self.kept else {}
        assert sorted(self.scratch.ended_and_parked()) == sorted(places.items())
        for at in places:
            self.kept[at].ended = True
        self.scratch.offer_all()
        for lane in LANES:
            if self.waiting(lane):
                self.turns[lane] = self.head(lane)

    def head(self, lane: bytes) -> Head:
        """Find a lane's head."""
        first = self.kept[self.waiting(lane)[0]]
        return Head(offset=first.note.offset, door=door(lane), due=first.note.due, ready=not first.busy)

    def put(self, offset: int, lane: bytes, due: int, body: bytes, position: int | None) -> None:
        """Keep an event, in place of what is at its offset."""
        note, record = park(offset, epoch=3, due=due), record_of(offset, lane, body=body)
        self.scratch.put(note, record, position)
        self.kept[offset] = Kept(note=note, record=record, position=position, epoch=3, busy=position is None)
        if lane in self.turns and self.turns[lane].offset > offset:
            del self.turns[lane]

    # Running.

    @rule(offset=OFFSETS, lane=st.sampled_from(LANES), due=DUES, body=st.sampled_from((b"1", b"2")))
    def is_parked(self, offset: int, lane: bytes, due: int, body: bytes) -> None:
        """Park an event for the first time."""
        if offset not in self.kept:
            self.put(offset, lane, due, body, None)

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), due=DUES, error=st.none() | st.text(max_size=3))
    def is_parked_again(self, data: st.DataObject, due: int, error: str | None) -> None:
        """Park an event again; nobody may call it meanwhile."""
        kept = self.kept[data.draw(st.sampled_from(self.idle()))]
        if self.turns.get(kept.lane) == self.head(kept.lane) and self.head(kept.lane).offset == kept.note.offset:
            self.scratch.withdraw(kept.lane)
            del self.turns[kept.lane]
        note = replace(kept.note, due=due, error=error, attempts=2, turns=1, called=8, reason=Why.FAILED, epoch=4)
        self.scratch.park_again(note)
        kept.note, kept.busy = note, True

    @rule(which=st.integers(0, 11))
    def park_is_acknowledged(self, which: int) -> None:
        """Note where a record lies."""
        busy = sorted(at for at, kept in self.kept.items() if kept.busy)
        if busy:
            at = busy[which % len(busy)]
            kept, position = self.kept[at], self.next_position()
            assert self.scratch.acknowledge(at, position, 4) == (kept.lane, kept.position is None)
            kept.position, kept.epoch, kept.busy = position, 4, False

    @rule(lane=st.sampled_from(LANES))
    def is_offered(self, lane: bytes) -> None:
        """Offer a lane's head, if it is ready."""
        if self.waiting(lane) and self.head(lane).ready:
            self.scratch.offer(lane, self.head(lane))
            self.turns[lane] = self.head(lane)

    @rule(lane=st.sampled_from(LANES))
    def is_withdrawn(self, lane: bytes) -> None:
        """Take a turn back, or none."""
        self.scratch.withdraw(lane)
        self.turns.pop(lane, None)

    @rule(lane=st.sampled_from(LANES), now=DUES)
    def is_closed(self, lane: bytes, now: int) -> None:
        """Close a door, until it is opened or probed; never earlier than one was closed before."""
        self.closed_at = max(self.closed_at, now)
        self.doors.close(door(lane), self.closed_at)
        self.probes[door(lane)] = self.closed_at + INTERVAL

    @rule(lane=st.sampled_from(LANES))
    def is_opened(self, lane: bytes) -> None:
        """Open a door."""
        assert self.doors.open(door(lane)) is (self.probes.pop(door(lane), None) is not None)

    @rule(now=DUES, below=st.integers(0, 12), fails=st.booleans())
    def has_its_turn(self, now: int, below: int, *, fails: bool) -> None:
        """Take the first turn of a door that has one and is open, or may be probed; the event waits again, or ends."""
        self.clock_says(now)
        possible: dict[bytes, tuple[int, int, bytes]] = {}
        for lane, head in sorted(self.turns.items(), key=lambda turn: (turn[1].due, turn[1].offset), reverse=True):
            may_be_called = not now < self.probes.get(door(lane), now) <= now + INTERVAL
            if head.due <= now and head.offset < below and may_be_called:
                possible[door(lane)] = (head.due, head.offset, lane)
        self.scratch.look_again(self.doors, now)
        turn = self.scratch.take_turn(now, below, self.doors)
        if turn is None:
            assert not possible
            return
        taken, probe = turn
        lane = self.kept[taken].lane
        assert possible[door(lane)][1:] == (taken, lane)
        assert probe is (door(lane) in self.probes)
        if probe:
            self.probes[door(lane)] = now + INTERVAL
        del self.turns[lane]
        self.kept[taken].busy = True
        if now == below:
            self.scratch.put_back(taken)
            self.kept[taken].busy = False
        elif not fails:
            self.scratch.end(taken)
            self.kept[taken].ended = True

    def clock_says(self, now: int) -> None:
        """Let no turn be too far off when the clock has been set back."""
        if now < self.now:
            self.scratch.bring_forward(now + LONGEST)
            self.turns = {lane: replace(head, due=min(head.due, now + LONGEST)) for lane, head in self.turns.items()}
        self.now = now

    @rule(offset=OFFSETS)
    def is_removed(self, offset: int) -> None:
        """Forget an event, or none; its turn has been taken before."""
        kept = self.kept.get(offset)
        if (
            kept is not None
            and self.turns.get(kept.lane, Head(offset=-1, door=b"", due=0, ready=True)).offset == offset
        ):
            self.is_withdrawn(kept.lane)
        self.scratch.remove(offset)
        self.kept.pop(offset, None)

    # What always holds.

    @invariant()
    def knows_every_event(self) -> None:
        """Check what is asked by offset."""
        for at in range(12):
            kept = self.kept.get(at)
            note = None if kept is None else replace(kept.note, epoch=kept.epoch)
            event = None if kept is None or note is None else ParkedEvent(note=note, record=kept.record)
            assert self.scratch.event(at) == event
            assert self.scratch.id_at(at) == (None if kept is None else kept.note.id)
            assert self.scratch.ended_id(at) == self.ended.get(at)
            if kept is not None and not kept.ended:
                behind = [self.kept[other] for other in self.waiting(kept.lane) if other > at]
                assert self.scratch.is_covered(at) is any(each.record.value == kept.record.value for each in behind)

    @invariant()
    def knows_every_lane(self) -> None:
        """Check what is asked by lane."""
        for lane in LANES:
            waits = bool(self.waiting(lane))
            assert self.scratch.has_lane(lane) is waits
            assert self.scratch.head(lane) == (self.head(lane) if waits else None)

    @invariant()
    def knows_the_log(self) -> None:
        """Check what still counts, and what it costs."""
        lying = sorted((kept.position, at) for at, kept in self.kept.items() if kept.position is not None)
        assert self.scratch.oldest() == (None if not lying else (lying[0][0], self.kept[lying[0][1]].epoch))
        idle = [at for _, at in lying if at in self.idle()]
        assert [event.note.offset for event in self.scratch.oldest_waiting(2)] == idle[:2]
        assert self.scratch.count == len(self.kept)
        assert (self.scratch.size > 0) is bool(self.kept)
        assert self.scratch.highest_known() == (max(self.ended, default=-1), max(self.kept, default=-1))


TestScratch = ScratchMachine.TestCase
TestScratch.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


def test_each_tenant_has_its_turn_however_much_another_one_has() -> None:
    """A tenant whose lanes all failed at once does not keep those of others waiting (promise 11)."""
    scratch = Scratch()
    lanes = [*(b"loud/%d" % number for number in range(20)), b"quiet/a", b"quiet/b", b"soft/a"]
    for offset, lane in enumerate(lanes):
        scratch.put(park(offset), record_of(offset, lane), offset)
    scratch.offer_all()
    taken = [turn[0] for _ in lanes if (turn := scratch.take_turn(1, 99, Doors())) is not None]
    turns = [lanes[offset].split(b"/")[0] for offset in taken]
    assert sorted(turns[:3]) == [b"loud", b"quiet", b"soft"]
    assert sorted(turns[3:5]) == [b"loud", b"quiet"]
    assert turns[5:] == [b"loud"] * 18


def test_headers_of_any_kind_come_back_as_they_were() -> None:
    """Without a value, with bytes that are no text, and twice (promise 3)."""
    scratch = Scratch()
    record = record_of(1)._replace(headers=(("a", None), ("a", b"\xff\x00"), ("\u20ac", b"")))
    scratch.put(park(1), record, 1)
    assert scratch.event(1) == ParkedEvent(note=park(1), record=record)


def test_every_parked_lane_is_found_while_the_filter_grows() -> None:
    """A lane that is taken for a free one would be called out of order; one for a parked one costs only a look."""
    scratch = Scratch()
    lanes = [b"acme/%d" % number for number in range(2_000)]
    for at, lane in enumerate(lanes):
        scratch.put(park(at), record_of(at)._replace(key=lane), at)
        assert scratch.has_lane(lane)
    assert all(scratch.has_lane(lane) for lane in lanes)
    for at in range(0, 2_000, 2):
        scratch.remove(at)
    assert [scratch.has_lane(lane) for lane in lanes] == [False, True] * 1_000


def test_an_event_that_is_read_back_twice_counts_once() -> None:
    """An event that was parked again lies in the log more than once."""
    scratch = Scratch()
    for position in (1, 2):
        scratch.put(park(5, due=position), record_of(5), position)
        assert (scratch.count, scratch.oldest()) == (1, (position, 1))
    size = scratch.size
    scratch.remove(5)
    scratch.put(park(5), record_of(5), 3)
    assert scratch.size == size


_FILL = """
import os, sys
from consumer.scratch import Scratch
from schemas.parked import Park, Why
from schemas.record import Record

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

scratch = Scratch()
before = 0
for at in range(int(sys.argv[1])):
    key = b"tenant-%d/connection-%d" % (at % 50, at % 20_000)
    note = Park(epoch=1, offset=at, id="event-%d" % at, due=0, since=1, reason=Why.BEHIND)
    scratch.put(note, Record(key=key, value=b"%01024d" % at, headers=(("ce_id", b"x" * 100),)), at)
    if at == 20_000:
        before = resident()
print(resident() - before, flush=True)
"""
_IN_PROC = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc of Linux")


def _filled(rows: int, folder: Path, then: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _FILL + then, str(rows)],
        env={**os.environ, "SQLITE_TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


@_IN_PROC
def test_memory_does_not_grow_with_what_is_parked(tmp_path: Path) -> None:
    """Promise 9: 200,000 events of 1 KiB are 250 MB, and memory stays within a few of them."""
    with _filled(200_000, tmp_path) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) < 16 * 1024 * 1024
    assert process.returncode == 0


@_IN_PROC
@pytest.mark.parametrize("how", ["closed", "killed"])
def test_no_file_is_left(tmp_path: Path, how: str) -> None:
    """However the process ends: the scratch has a file, which has no name."""
    pause = "import signal; signal.pause()"
    then = f"scratch.close(); print(flush=True); {pause}" if how == "closed" else pause
    with _filled(25_000, tmp_path, then) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            if how == "closed":
                process.stdout.readline()
            assert len(_files_of(process.pid, tmp_path)) == (0 if how == "closed" else 1)
            assert not [*tmp_path.iterdir()]
        finally:
            process.send_signal(signal.SIGKILL)
    assert not [*tmp_path.iterdir()]


def _files_of(pid: int, folder: Path) -> list[Path]:
    """List what a process has open in a folder; what it closes meanwhile was none of these."""
    files = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            files.append(link.readlink())
    return [file for file in files if str(file).startswith(str(folder))]


def test_what_one_event_costs_does_not_depend_on_how_many_are_parked() -> None:
    """Neither to park it, nor to find whose turn it is: the best of several tries, with room for a busy machine."""
    scratch = Scratch()
    few = _cost(scratch, 0)
    for at in range(1_000, 50_000):
        _park(scratch, at)
    assert _cost(scratch, 50_000) < 5 * few


def _park(scratch: Scratch, at: int) -> None:
    lane = b"tenant-%d/connection-%d" % (at % 50, at % 5_000)
    record = Record(key=lane, value=b"%01024d" % at, headers=())
    scratch.put(park(at), record, at)
    if (head := scratch.head(lane)) is not None:
        scratch.offer(lane, head)


def _cost(scratch: Scratch, start: int) -> float:
    tries = []
    for number in range(5):
        began = time.process_time()
        for at in range(start + number * 200, start + number * 200 + 200):
            _park(scratch, at)
            taken = scratch.take_turn(1, 1 << 60, Doors())
            assert taken is not None
            scratch.remove(taken[0])
        tries.append(time.process_time() - began)
    return min(tries)

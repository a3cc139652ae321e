"""The scratch: what is parked in one partition, in an SQLite database of this process alone.

A view of the log, never the truth. SQLite keeps it in memory up to a bound, and beyond that in a file without a name:
nothing of it is left when the process ends, however that comes. `SQLITE_TMPDIR` or `TMPDIR` say where such files are.
"""

import marshal
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from consumer.engine.doors import Doors
from consumer.engine.parking import Head, ParkedEvent
from consumer.engine.rounds import Rounds
from schemas.parked import Park, Why
from schemas.record import Header, Record

_CACHE_KIBIBYTES = 2_048
_HASHES = 1 << 17
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIBIBYTES};
CREATE TABLE parked (
    at INTEGER PRIMARY KEY, lane BLOB NOT NULL, position INTEGER, epoch INTEGER NOT NULL, due INTEGER NOT NULL,
    outcome INTEGER, id TEXT NOT NULL, attempts INTEGER NOT NULL, turns INTEGER NOT NULL, called INTEGER,
    since INTEGER NOT NULL, reason TEXT NOT NULL, error TEXT, digest INTEGER NOT NULL, size INTEGER NOT NULL,
    headers BLOB NOT NULL, door BLOB NOT NULL, body BLOB
);
CREATE INDEX of_lane ON parked (lane, at);
CREATE INDEX alike ON parked (digest, at);
CREATE INDEX of_log ON parked (position) WHERE position IS NOT NULL;
CREATE TABLE turns (lane BLOB PRIMARY KEY, door BLOB NOT NULL, due INTEGER NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX by_due ON turns (door, due, at);
CREATE TABLE ended (at INTEGER PRIMARY KEY, id TEXT NOT NULL);
BEGIN;
"""
"""`at` is the event's offset in the source; `digest` that of its lane and body."""
_SELECT = "SELECT at, id, epoch, due, attempts, turns, called, since, reason, error, lane, body, headers FROM parked"
_INSERT = "INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Scratch:
    """Keep what is parked; `ParkedView` says what each method is for. To be closed at the end of the tenure."""

    def __init__(self) -> None:
        # One transaction without an end: each commit would look through all of the cache, and nothing is rolled back.
        self._database = sqlite3.connect("", isolation_level=None, cached_statements=64)
        self._database.executescript(_SCHEMA)
        self._do = self._database.execute
        self._rounds = Rounds()
        self._busy: dict[int, bool] = {}
        """What is being written or called; True for what has no position yet."""
        self._ended: set[int] = set()
        """What is kept and has ended."""
        self._shut: set[bytes] = set()
        """The doors that were passed over since they were shut."""
        self._highest_offered = -1
        self._events_by_hash = array("I")
        """How many events are kept of all lanes with a hash: where it is 0, there is no need to ask the database."""
        self.count = 0
        self.size = 0

    def close(self) -> None:
        """Throw everything away."""
        self._database.close()

    # What is parked.

    def put(self, note: Park, record: Record, position: int | None) -> None:
        """Keep an event; a turn of its lane that comes behind it is taken back."""
        size = _size(record)
        row = _row(note, record, position, size)
        try:
            self._do(_INSERT, row)
        except sqlite3.IntegrityError:
            self.remove(note.offset)
            self._do(_INSERT, row)
        if position is None:
            self._busy[note.offset] = True
        if note.offset < self._highest_offered:
            self._do("DELETE FROM turns WHERE lane = ? AND at > ?", (record.key or b"", note.offset))
        if not self._events_by_hash:
            self._events_by_hash.frombytes(bytes(_HASHES * self._events_by_hash.itemsize))
        self._events_by_hash[hash(record.key or b"") % _HASHES] += 1
        self.count += 1
        self.size += size

    def park_again(self, note: Park) -> None:
        """Keep the new note; the epoch stays that of the record that counts."""
        self._do(
            "UPDATE parked SET due = ?, attempts = ?, turns = ?, called = ?, since = ?, reason = ?, error = ?"
            " WHERE at = ?",
            (note.due, note.attempts, note.turns, note.called, note.since, note.reason, note.error, note.offset),
        )
        self._busy[note.offset] = False

    def acknowledge(self, offset: int, position: int, epoch: int) -> tuple[bytes, bool]:
        """Note where the record lies."""
        sql = "UPDATE parked SET position = ?, epoch = ? WHERE at = ? RETURNING lane"
        (lane,) = self._do(sql, (position, epoch, offset)).fetchone()
        return lane, self._busy.pop(offset)

    def event(self, offset: int) -> ParkedEvent | None:
        """Get an event."""
        row = self._do(_SELECT + " WHERE at = ?", (offset,)).fetchone()
        return None if row is None else _event(row)

    def id_at(self, offset: int) -> str | None:
        """Get the id of an event."""
        name: str | None = self._value("SELECT id FROM parked WHERE at = ?", offset)
        return name

    def end(self, offset: int) -> None:
        """Take an event out of its lane."""
        self._ended.add(offset)

    def remove(self, offset: int) -> None:
        """Forget an event."""
        row = self._do("DELETE FROM parked WHERE at = ? RETURNING lane, size", (offset,)).fetchone()
        if row is not None:
            self._events_by_hash[hash(row[0]) % _HASHES] -= 1
            self.count -= 1
            self.size -= row[1]
        self._ended.discard(offset)
        self._busy.pop(offset, None)

    def forget_below(self, low: int) -> None:
        """Forget what lies below a position."""
        for (at,) in self._do("SELECT at FROM parked WHERE position < ?", (low,)).fetchall():
            self.remove(at)

    def has_lane(self, lane: bytes) -> bool:
        """Look whether anything of the lane waits."""
        return self.head(lane) is not None

    def head(self, lane: bytes) -> Head | None:
        """Find the first of a lane."""
        if not self._events_by_hash or not self._events_by_hash[hash(lane) % _HASHES]:
            return None
        for at, door, due in self._do("SELECT at, door, due FROM parked WHERE lane = ? ORDER BY at", (lane,)):
            if at not in self._ended:
                return Head(offset=at, door=door, due=due, ready=at not in self._busy)
        return None

    def is_covered(self, offset: int) -> bool:
        """Look for one behind that says the same: the digest finds it, the comparison is exact."""
        sql = (
            "SELECT other.at, mine.headers, other.headers FROM parked AS mine JOIN parked AS other"
            " ON other.digest = mine.digest AND other.at > mine.at AND other.lane = mine.lane"
            " AND other.door = mine.door AND other.body = mine.body WHERE mine.at = ?"
        )
        return any(at not in self._ended and _covers(other, mine) for at, mine, other in self._do(sql, (offset,)))

    def oldest(self) -> tuple[int, int] | None:
        """Find the lowest position and its epoch."""
        sql = "SELECT position, epoch FROM parked WHERE position IS NOT NULL ORDER BY position LIMIT 1"
        row: tuple[int, int] | None = self._do(sql).fetchone()
        return row

    def oldest_waiting(self, most: int) -> Sequence[ParkedEvent]:
        """List the oldest that nobody is at."""
        rows = self._do(_SELECT + " WHERE position IS NOT NULL ORDER BY position")
        waiting = (row for row in rows if row[0] not in self._busy and row[0] not in self._ended)
        return [_event(row) for row in islice(waiting, most)]

    # Turns.

    def offer(self, lane: bytes, head: Head) -> None:
        """Note a turn."""
        self._do("INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?)", (lane, head.door, head.due, head.offset))
        self._highest_offered = max(self._highest_offered, head.offset)
        self._rounds.expect(head.door, head.due)

    def withdraw(self, lane: bytes) -> None:
        """Forget a lane's turn."""
        self._do("DELETE FROM turns WHERE lane = ?", (lane,))

    def put_back(self, offset: int) -> None:
        """Nobody is at it any more."""
        del self._busy[offset]

    def offer_all(self) -> None:
        """Note the turns of all lanes at once."""
        self._do(
            # SQLite takes the other columns of such a query from the row that has the minimum.
            "INSERT INTO turns SELECT lane, door, due, min(at) FROM parked WHERE outcome IS NULL GROUP BY lane"
        )
        self._highest_offered = self._do("SELECT ifnull(max(at), -1) FROM turns").fetchone()[0]
        self._expect_all()

    def bring_forward(self, latest: int) -> None:
        """Change the turns that are due later, and begin the rounds anew."""
        self._do("UPDATE turns SET due = ? WHERE due > ?", (latest, latest))
        self._rounds = Rounds()
        self._expect_all()

    def _expect_all(self) -> None:
        for door, due in self._do("SELECT door, min(due) FROM turns GROUP BY door ORDER BY door").fetchall():
            self._rounds.expect(door, due)

    def take_turn(self, now: int, below: int, doors: Doors) -> tuple[int, bool] | None:
        """Take the next turn: each door's in turn, and within a door what has been due for longest."""
        self._rounds.admit(now)
        for _ in range(len(self._rounds)):
            door = self._rounds.take()
            lane = self._next_lane(door, now, below)
            shut = lane is not None and doors.is_shut(door)
            if lane is None:
                self._expect_earliest(door)
            elif shut and not doors.take_probe(door, now):
                self._shut.add(door)
                self._rounds.expect(door, doors.next_look(door, now))
            else:
                self._rounds.queue(door)
                return self._take(lane), shut
        return None

    def look_again(self, doors: Doors, now: int) -> None:
        """Let those doors have their turns that are not shut any more."""
        for door in [door for door in self._shut if not doors.is_shut(door)]:
            self._shut.discard(door)
            self._rounds.expect(door, now)

    def _next_lane(self, door: bytes, now: int, below: int) -> bytes | None:
        sql = "SELECT lane FROM turns WHERE door = ? AND due <= ? AND at < ? ORDER BY due, at LIMIT 1"
        row = self._do(sql, (door, now, below)).fetchone()
        return None if row is None else row[0]

    def _take(self, lane: bytes) -> int:
        offset: int = self._do("DELETE FROM turns WHERE lane = ? RETURNING at", (lane,)).fetchone()[0]
        self._busy[offset] = False
        return offset

    def _expect_earliest(self, door: bytes) -> None:
        earliest = self._value("SELECT min(due) FROM turns WHERE door = ?", door)
        if earliest is not None:
            self._rounds.expect(door, earliest)

    # What ended before this tenure.

    def add_ended(self, entries: Iterable[tuple[int, str, int]], frontier: int) -> None:
        """Note outcomes."""
        known = list(entries)
        self._database.executemany(
            "INSERT OR REPLACE INTO ended VALUES (?, ?)", [(at, name) for at, name, _ in known if at >= frontier]
        )
        if self.count:
            self._database.executemany(
                "UPDATE parked SET outcome = ? WHERE at = ? AND id = ?",
                [(place, at, name) for at, name, place in known],
            )

    def ended_and_parked(self) -> Sequence[tuple[int, int]]:
        """List what has ended, and count it so."""
        ended = self._do("SELECT at, outcome FROM parked WHERE outcome IS NOT NULL").fetchall()
        self._ended.update(at for at, _ in ended)
        return ended

    def ended_id(self, offset: int) -> str | None:
        """Get the id of what ended."""
        name: str | None = self._value("SELECT id FROM ended WHERE at = ?", offset)
        return name

    def highest_known(self) -> tuple[int, int]:
        """Find the highest offsets."""
        ended, parked = self._do("SELECT (SELECT max(at) FROM ended), (SELECT max(at) FROM parked)").fetchone()
        return -1 if ended is None else ended, -1 if parked is None else parked

    def _value(self, sql: str, key: int | bytes) -> Any:  # noqa: ANN401 - whatever the column holds
        row = self._do(sql, (key,)).fetchone()
        return None if row is None else row[0]


def _row(note: Park, record: Record, position: int | None, size: int) -> tuple[object, ...]:
    lane, body = record.key or b"", record.value
    return (
        *(note.offset, lane, position, note.epoch, note.due, None, note.id, note.attempts, note.turns, note.called),
        *(note.since, note.reason, note.error, hash((lane, body)), size, marshal.dumps(record.headers)),
        *(_door(lane, record.headers), body),
    )


def _size(record: Record) -> int:
    size = len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


def _door(lane: bytes, headers: Sequence[Header]) -> bytes:
    """Name the door as `consumer.engine.doors.door_of` does, without reading the event."""
    return b"%b/%b" % (lane.partition(b"/")[0], next((v or b"" for n, v in headers if n == "ce_environment"), b""))


def _event(row: tuple[Any, ...]) -> ParkedEvent:
    at, name, epoch, due, attempts, turns, called, since, reason, error, lane, body, headers = row
    note = Park(
        offset=at,
        id=name,
        epoch=epoch,
        due=due,
        attempts=attempts,
        turns=turns,
        called=called,
        since=since,
        reason=Why(reason),
        error=error,
    )
    return ParkedEvent(note=note, record=Record(key=lane, value=body, headers=_headers(headers)))


def _headers(packed: bytes) -> tuple[Header, ...]:
    # Our own memory, not a file that somebody else may have written.
    headers: tuple[Header, ...] = marshal.loads(packed)  # noqa: S302
    return headers


def _covers(other: bytes, mine: bytes) -> bool:
    """Compare what `_alike` of the lanes does beside body and environment: the group it was sent again for."""
    group = dict(_headers(other)).get("ce_fusegroup")
    return group in {None, dict(_headers(mine)).get("ce_fusegroup")}

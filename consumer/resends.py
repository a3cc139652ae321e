"""Re-sends: which events were sent again already, and which are to be. No state of ours: the source topic says it.

An event that is sent again lies behind itself in the source, with a higher generation. Whoever has read the source
from the first event in question to the end therefore knows everything that any replay has done, also one that was
killed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace

from schemas.event import Event

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE resent (id TEXT PRIMARY KEY, generation INTEGER NOT NULL, ours INTEGER NOT NULL) WITHOUT ROWID;
BEGIN;
"""
_NOTE = (
    "INSERT INTO resent VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE"
    " SET generation = max(generation, ?2), ours = max(ours, ?3)"
)


class Resends:
    """Know, for one group, the newest generation of every event that was sent again, and plan what else is to be.

    `replay` names what sends again now. To be closed. What it knows is in a temporary SQLite database without a name:
    8 MiB of it in memory, whatever was replayed, and the rest on disk.
    """

    def __init__(self, group: str, replay: str) -> None:
        self._group = group
        self._replay = replay
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def note(self, events: Iterable[Event]) -> None:
        """Take note of what lies in the source. What was sent again for another group is nothing to this one."""
        ours = (event for event in events if event.generation and event.is_for(self._group))
        rows = ((event.id, event.generation, event.replay == self._replay) for event in ours)
        self._database.executemany(_NOTE, rows)

    def newest(self, event: Event) -> int:
        """Give the newest generation known of this event, its own at least."""
        return max(event.generation, self._known(event)[0])

    def unless_newer(self, events: Iterable[Event]) -> Iterator[Event]:
        """Plan to send again what has no newer generation yet."""
        for event in events:
            if event.is_for(self._group) and self.newest(event) == event.generation:
                yield self._plan(event)

    def unless_ours(self, events: Iterable[Event]) -> Iterator[Event]:
        """Plan to send again what this very replay has not sent yet, whatever others did."""
        for event in events:
            if event.is_for(self._group) and not self._known(event)[1]:
                yield self._plan(event)

    def _plan(self, event: Event) -> Event:
        again = replace(event, generation=self.newest(event) + 1, group=self._group, replay=self._replay)
        self.note([again])  # the same event may stand in the range a second time
        return again

    def _known(self, event: Event) -> tuple[int, bool]:
        row = self._database.execute("SELECT generation, ours FROM resent WHERE id = ?", (event.id,)).fetchone()
        return (0, False) if row is None else (row[0], bool(row[1]))

"""Which dead letters are about an event that ended otherwise, by the group's outcomes.

A letter is written before the outcome that says so. A member that dies, or is replaced, in between leaves a letter of
an event that its successor handles again, and perhaps with success: to send that once more would be a call too many.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.outcome import Ended, OutcomeKind

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE about (
    partition INTEGER, offset INTEGER, id TEXT, generation INTEGER, otherwise INTEGER NOT NULL,
    PRIMARY KEY (partition, offset, id, generation)
) WITHOUT ROWID;
BEGIN;
"""
_WHERE = "WHERE partition = ? AND offset = ? AND id = ? AND generation = ?"


class About(NamedTuple):
    """The event that a letter is about: its place in the source, and what it is."""

    partition: int
    offset: int
    id: str
    generation: int


class Otherwise:
    """Know of the events that were asked about whether they ended in another way than dead. To be closed.

    It is in a temporary SQLite database without a name: 8 MiB of it in memory, however many letters there are.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def ask(self, about: About) -> None:
        """Ask about an event, before the outcomes are noted."""
        self._database.execute("INSERT OR IGNORE INTO about VALUES (?, ?, ?, ?, 0)", about)

    def note(self, outcomes: Iterable[tuple[int, Ended]]) -> None:
        """Take note of outcomes, each with its partition."""
        self._database.executemany(f"UPDATE about SET otherwise = 1 {_WHERE}", _otherwise(outcomes))  # noqa: S608 - ours

    def knows(self, about: About) -> bool:
        """Say whether an event ended otherwise."""
        found = self._database.execute(f"SELECT otherwise FROM about {_WHERE}", about).fetchone()  # noqa: S608 - ours
        return found is not None and bool(found[0])


def _otherwise(outcomes: Iterable[tuple[int, Ended]]) -> Iterator[About]:
    for partition, ended in outcomes:
        if ended.outcome is not OutcomeKind.DEAD:
            yield About(partition, ended.offset, ended.id, ended.generation)

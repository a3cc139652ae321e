"""A TOML table that knows its place in the file and gathers what is wrong with it, so that all is reported together.

Read by hand and not by a model: a model stops at the first level that does not fit, and its errors hold the input,
which here is secrets. Sentences name keys and places, never values.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

MOST = 1_000_000_000
"""The largest number that makes sense anywhere in the file."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ValueT = TypeVar("_ValueT")
_A_TEXT = "must be a text in quotes"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TomlTable:
    """One table. `place` is its path of keys; `faults` is shared with the whole file and grows while reading."""

    place: tuple[str, ...]
    content: Mapping[str, object]
    faults: list[str]

    def fault(self, key: str, sentence: str, *, index: int | None = None) -> None:
        """Note what is wrong with `key`, or with the entry `index` of the list there."""
        entry = "" if index is None else f"[{index}]"
        self.faults.append(f"{dotted((*self.place, key))}{entry}: {sentence}")

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Note every key that is not `known`, with the nearest one that is."""
        for key in self.content:
            if key not in known:
                near = difflib.get_close_matches(key.lower(), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known here are {', '.join(sorted(known))}."
                self.fault(key, f"there is no such key; {hint}")

    def table(self, key: str) -> "TomlTable | None":
        """Go into the table `key`, if there is one."""
        content = self._of_type(key, dict, "must be a table")
        return None if content is None else TomlTable(place=(*self.place, key), content=content, faults=self.faults)

    def text(self, key: str) -> str | None:
        """Read a text, if there is one."""
        return self._of_type(key, str, _A_TEXT)

    def texts(self, key: str) -> Iterator[tuple[int, str]]:
        """Read a list of texts, if there is one, each with its index."""
        for index, entry in enumerate(self._of_type(key, list, "must be a list of texts") or []):
            if isinstance(entry, str):
                yield index, entry
            else:
                self.fault(key, f"{_A_TEXT}.", index=index)

    def flag(self, key: str) -> bool:
        """Read true or false; false where there is neither."""
        return self._of_type(key, bool, "must be true or false, without quotes") or False

    def positive(self, key: str) -> float | None:
        """Read a number above 0, if there is one."""
        number = self.content.get(key)
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= MOST:
            self.fault(key, f"must be a number above 0 and at most {MOST}, without quotes.")
            return None
        return float(number)

    def _of_type(self, key: str, kind: type[_ValueT], sentence: str) -> _ValueT | None:
        found = self.content.get(key)
        if found is None or isinstance(found, kind):
            return found
        self.fault(key, f"{sentence}.")
        return None


def dotted(place: tuple[str, ...]) -> str:
    """Spell a path of keys as TOML does: quoted where a key is not bare, control characters escaped."""
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key) for key in place)

"""Other spellings of the same JSON: another order of keys, white space, escapes. Seeded and pure."""

import json
from random import Random

_SPACES = ("", "", "", " ", "  ", "\n", "\t", "\r\n", "\n    ")
_ESCAPED_EVERY = 24


def scramble(value: object, rng: Random) -> str:
    """Write a JSON value so that it means the same and looks different."""
    space = rng.choice(_SPACES)
    match value:
        case dict():
            pairs = [f"{_text(key, rng)}{space}:{scramble(member, rng)}" for key, member in value.items()]
            rng.shuffle(pairs)
            return f"{space}{{{space}{','.join(pairs)}{space}}}{space}"
        case list():
            return f"{space}[{','.join(scramble(item, rng) for item in value)}{space}]{space}"
        case str():
            return f"{space}{_text(value, rng)}{space}"
        case bool() | None:
            return f"{space}{json.dumps(value)}"
        case _:
            return f"{space}{_number(json.dumps(value), rng)}"


def _text(text: str, rng: Random) -> str:
    parts, start = [], 0
    for at in sorted({rng.randrange(len(text)) for _ in range(-(-len(text) // _ESCAPED_EVERY))}):
        parts += [_plain(text[start:at], rng), _escaped(text[at], rng)]
        start = at + 1
    return f'"{"".join(parts)}{_plain(text[start:], rng)}"'


def _plain(text: str, rng: Random) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("/", rng.choice(("/", "\\/")))


def _escaped(character: str, rng: Random) -> str:
    units = character.encode("utf-16-be")
    return "".join(_escape(units[at : at + 2], rng) for at in range(0, len(units), 2))


def _escape(unit: bytes, rng: Random) -> str:
    return f"\\u{rng.choice((unit.hex(), unit.hex().upper()))}"


def _number(text: str, rng: Random) -> str:
    if "e" in text:
        return text
    longer = f"{text}0" if "." in text else f"{text}.0"
    return rng.choice((text, longer, f"{text}e0", f"{text}E+0"))

"""The body as one JSON text, and the same text as JavaScript would write it: that is what Fuse signs.

Two readers give the same answer. `read_plain` asks orjson and recognises a compact body with nothing unusual in it
by its round trip, its keys sorted or as they are: an equal text proves that no key was repeated. Every other body
goes through `read_exact`, which is the standard library's parser with hooks, some five times slower, and right about
everything. That reader orders keys and chooses numbers while it reads, so that the standard library's writer has
nothing left to decide.

The rules are those of `JSON.stringify` with the keys of every object sorted first: keys that are array indices lead
in numeric order, all others follow by UTF-16 code unit; numbers are doubles in their shortest spelling; infinity is
null; what UTF-8 cannot hold is escaped; everything else outside the control characters stands for itself.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from itertools import accumulate
from math import isinf
from typing import Final, NoReturn

import orjson

from schemas.errors import AmbiguousJson, NotJson, Rejected, TooDeep

MAX_DEPTH: Final = 900
"""Nested arrays and objects, the outermost included: what CPython's recursion limit of 1,000 leaves room for."""

_NO_MEMBERS: Final[Mapping[str, object]] = {}

_INDEX_KEY: Final = re.compile(rb'"[0-9]+":')
# Only characters beyond U+FFFF sort differently by UTF-16 code unit than by code point or UTF-8 byte.
_ASTRAL_LEADS: Final = bytes(range(0xF0, 0xF5))
# With every digit made a zero: integers that may not be a double's exact value, and exponents.
_ANY_DIGIT: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_OR_EXPONENT: Final = (b"0" * 16, b"0e")
_WHOLE_OR_SMALL: Final = (b".0,", b".0]", b".0}", b".00000")

_FLAT: Final = frozenset({str, bool, type(None)})

_MAX_INDEX: Final = str(2**32 - 2)

_BRACKETS: Final = b"[]{}"
_STEPS: Final = bytes.maketrans(_BRACKETS, bytes([1, 255, 1, 255]))
_ALL_BUT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _BRACKETS)

_FIRST_EXPONENT: Final = 1e21
_EXACT_INTEGERS: Final = 2**53
_SHORT_INTEGER: Final = 15
# JavaScript writes decimals down to 1e-6 and never pads an exponent; Python writes them to 1e-4 and pads to two digits.
_SMALL_DECIMAL: Final = re.compile(r"[0-9](?:\.[0-9]+)?e-0[56]")


class JsonBody:
    """One JSON text as received.

    `raw` is the text, byte for byte. `members` are those of the top-level object, empty if the text is no object:
    strings are verbatim and may hold lone surrogates, numbers are whatever writes like JavaScript's double. `is_flat`
    says that all of them are strings and literals. Nothing of it shows in the repr: bodies belong in no log.
    """

    __slots__ = ("_write", "is_flat", "members", "raw")

    def __init__(self, raw: bytes, members: Mapping[str, object], write: Callable[[], bytes], *, is_flat: bool) -> None:
        self.raw = raw
        self.members = members
        self.is_flat = is_flat
        self._write = write

    def canonical(self) -> bytes:
        """Write the text as JavaScript would, keys sorted, in UTF-8. Raises TooDeep where the stack ends."""
        return self._write()


def read_body(raw: bytes, *, max_depth: int = MAX_DEPTH) -> JsonBody:
    """Read one JSON text.

    `max_depth`, at least 1, bounds how deep arrays and objects nest. Raises NotJson for anything but one JSON text in
    UTF-8 without a byte order mark (RFC 8259), TooDeep, and AmbiguousJson for a repeated key or a key `__proto__`; no
    other error, whatever the bytes.
    """
    plain = read_plain(raw)  # orjson has a bound of its own, so that no depth harms it
    if plain is not None and plain.is_flat:
        return plain
    if depth_exceeds(raw, max_depth):
        raise TooDeep(f"the body nests more than {max_depth} arrays and objects: send it flatter")
    return plain or read_exact(raw)


def depth_exceeds(raw: bytes, limit: int) -> bool:
    """Tell whether arrays and objects nest deeper than `limit`, without parsing; exact for every valid JSON text."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    steps = memoryview(_outside_strings(raw).translate(_STEPS, _ALL_BUT_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > limit


def _outside_strings(text: bytes) -> bytes:
    # Without its escaped quotes, every second piece between quotes is outside the strings.
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in text else text
    return b"".join(bare.split(b'"')[::2])


def read_plain(raw: bytes) -> JsonBody | None:
    """Read an object that has only one reading, or give None: then `read_exact` has to judge."""
    try:
        value = orjson.loads(raw)
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if not isinstance(value, dict) or not _keeps_all_members(raw, text, value):
        return None
    is_flat = _is_flat(value)
    if "__proto__" in value if is_flat else b'"__proto__":' in text:
        return None
    if is_flat or not _is_unusual(text):
        return JsonBody(raw, value, lambda: text, is_flat=is_flat)
    return JsonBody(raw, value, lambda: read_exact(raw).canonical(), is_flat=False)


def _keeps_all_members(raw: bytes, text: bytes, value: object) -> bool:
    # orjson drops all but the last of repeated keys, and their colons with them.
    if text == raw or orjson.dumps(value) == raw:
        return True
    return _outside_strings(text).count(b":") == _outside_strings(raw).count(b":")


def _is_flat(members: Mapping[str, object]) -> bool:
    """Tell, sooner than `_is_unusual` could, that there are only strings and literals under ordinary keys."""
    names = "".join(members)
    return names.isascii() and not any(map(str.isdigit, members)) and _FLAT.issuperset(map(type, members.values()))


def _is_unusual(text: bytes) -> bool:
    """Tell whether orjson might have ordered the keys or spelled the numbers of its own text unlike JavaScript."""
    if _INDEX_KEY.search(text) or len(text.translate(None, _ASTRAL_LEADS)) != len(text):
        return True
    numbers = _outside_strings(text)
    digits = numbers.translate(_ANY_DIGIT)
    return any(map(digits.__contains__, _LONG_OR_EXPONENT)) or any(map(numbers.__contains__, _WHOLE_OR_SMALL))


def read_exact(raw: bytes) -> JsonBody:
    """Read any JSON text the slow way. Raises as `read_body` does, and TooDeep where the stack ends."""
    value = _parse(raw)
    members = value if isinstance(value, dict) else _NO_MEMBERS
    return JsonBody(raw, members, partial(_write_exact, value), is_flat=False)


def _parse(raw: bytes) -> object:
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        fault: Rejected = NotJson(f"the body is not UTF-8 from byte {error.start} on: send JSON in UTF-8")
    except json.JSONDecodeError as error:
        fault = NotJson(f"the body is no JSON text from character {error.pos} on: send one JSON value and nothing else")
    except RecursionError:
        fault = _stack_ended()
    # Raised out here because the errors above carry the body, which must not travel along as a context.
    try:
        raise fault
    finally:
        del fault  # else it and this frame hold each other, and the body, until garbage is collected


def _write_exact(value: object) -> bytes:
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        raise _stack_ended() from None
    if "e-0" in text:
        text = _respell_small_numbers(text)
    # Of all that a str may hold, UTF-8 lacks only lone surrogates; this handler writes them as JavaScript escapes them.
    return text.encode("utf-8", "backslashreplace")


def _stack_ended() -> TooDeep:
    return TooDeep("the body nests deeper than the stack allows: send it flatter")


def _respell_small_numbers(text: str) -> str:
    # A written text holds no control characters, so two of them can stand in for what would hide a string's end.
    pieces = text.replace(r"\\", "\0").replace(r"\"", "\1").split('"')
    outside = _SMALL_DECIMAL.sub(lambda match: _decimals(match[0]), '"'.join(pieces[::2]))
    pieces[::2] = outside.replace("e-0", "e-").split('"')
    return '"'.join(pieces).replace("\1", r"\"").replace("\0", r"\\")


@lru_cache(maxsize=1024)
def _decimals(number: str) -> str:
    return format(Decimal(number), "f")


def key_order(keys: Collection[str]) -> list[str]:
    """Order an object's keys as JavaScript lists them after a sort: array indices by value, then by UTF-16 unit."""
    names = sorted(keys)
    text = "".join(names)
    # Digits sort before letters and underscores, so an identifier shows that no key starts with one.
    if text.isascii() and text.isidentifier():
        return names
    indices = sorted(filter(is_index, names), key=int)
    others = sorted(set(names).difference(indices)) if indices else names
    # Code points order like UTF-16 units until one lies beyond U+FFFF; then the units must decide.
    return indices + (others if text.isascii() else sorted(others, key=_utf16))


def is_index(key: str) -> bool:
    """Tell whether JavaScript takes a key for an array index: a plain decimal from 0 to 4294967294 in ASCII."""
    if not (key.isdecimal() and key.isascii()) or (key[0] == "0" and key != "0"):
        return False
    return len(key) < len(_MAX_INDEX) or (len(key) == len(_MAX_INDEX) and key <= _MAX_INDEX)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def javascript_number(value: float) -> float | None:
    """Give the number that Python writes as JavaScript writes this double, but for the exponents of small numbers.

    An integer below 1e21 becomes an int of the digits that JavaScript shows, infinity becomes None.
    """
    if not value.is_integer():
        return None if isinf(value) else value
    if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
        return int(value)
    return int(Decimal(repr(value))) if abs(value) < _FIRST_EXPONENT else value


def _read_integer(digits: str) -> float | None:
    # Longer ones may not be a double's exact value, and beyond 4,300 digits Python refuses to read an int at all.
    return int(digits) if len(digits) <= _SHORT_INTEGER else javascript_number(float(digits))


def _read_fraction(digits: str) -> float | None:
    return javascript_number(float(digits))


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousJson("the body repeats a key within one object: send every key once")
    if "__proto__" in members:
        raise AmbiguousJson("the body has a key `__proto__`, which JavaScript does not sign: send it without")
    return {key: members[key] for key in key_order(members)} if len(members) > 1 else members


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"the body holds {name}, which is no JSON: send null or a number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_read_object,
    parse_int=_read_integer,
    parse_float=_read_fraction,
    parse_constant=_refuse_constant,
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))

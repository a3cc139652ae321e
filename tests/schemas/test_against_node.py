"""JavaScript itself as the judge of the canonical text: thousands of random and hostile bodies, none may differ."""

import json
import math
import random
import shutil
import struct
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import pytest
from pydantic import SecretStr

from schemas.canonical import read_body
from schemas.errors import AmbiguousJson, InvalidSignature, NotJson, TooDeep
from schemas.event import Environment
from schemas.verification import SigningKey, verify

_KEY = SigningKey(environment=Environment.SANDBOX, secret=SecretStr("clé d'essai"))
_STRANGER = SigningKey(environment=Environment.SANDBOX, secret=SecretStr("stranger"))
_BODIES_OF_A_KIND = 1_000

_Answer = tuple[bytes, bytes] | None


class Oracle:
    """One Node process that answers batches of bodies with their canonical text and signature, or None."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._in, self._out = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)

    def ask(self, bodies: Sequence[bytes]) -> list[_Answer]:
        """Hand over one batch; the answers follow once it is complete, so that neither side can block the other."""
        self._in.write(b"".join(b64encode(body) + b"\n" for body in bodies if body) + b"\n")
        self._in.flush()
        return [self._answer(self._out.readline()) for body in bodies if body]

    @staticmethod
    def _answer(line: bytes) -> _Answer:
        if line == b"refused\n":
            return None
        canonical, signature = line.split()
        return b64decode(canonical), signature


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """Start Node once for all kinds of bodies."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not on the PATH, so there is no JavaScript to compare with")
    script = str(Path(__file__).parent / "canonical_oracle.mjs")
    command = [node, script, _KEY.secret.get_secret_value()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Oracle(process)
        cast("IO[bytes]", process.stdin).close()
        assert process.wait(timeout=10) == 0


_INDICES = ["0", "1", "7", "9", "10", "42", "4294967293", "4294967294"]
_NEAR_INDICES = ["00", "01", "-0", "-1", "1.0", "1e3", "²", "٣", "1_0", " 5", "4294967295", "4294967296", "9" * 17]
_NAMES = ["", "a", "b", "B", "_", "type", "source", "environment", "financial_connection_id", "remote_data"]
_TRAPS = ["constructor", "toJSON", "toString", "hasOwnProperty", "__proto", "proto__", "length", "then", "valueOf"]
_WHITE_SPACE = ["", " ", "\n", "\t", "\r\n", "   "]
_ESCAPES = ["\\n", "\\t", "\\b", "\\f", "\\r", '\\"', "\\\\", "\\/", "\\u0000", "\\u001F", "\\u007f", "\\u2028"]
_RANGES = [(0x20, 0x7E), (0x7F, 0xFF), (0x2020, 0x2030), (0xD780, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]


def _character(dice: random.Random) -> str:
    spelling = dice.randrange(10)
    if spelling < 3:
        return dice.choice("abcXYZ0123456789 ,:[]{}<>&'")
    if spelling < 5:
        return dice.choice(_ESCAPES)
    if spelling == 5:
        return dice.choice(["\\ud83d", "\\uDE00", "\\ud83d\\ude00", "\\uD800", "\\udfff", "\\ud83d\\ud83d\\ude00"])
    if spelling == 6:
        return f"\\u{dice.randrange(0x10000):04{dice.choice('xX')}}"
    character = chr(dice.randint(*dice.choice(_RANGES)))
    return f"\\{character}" if character in '"\\' else character


def _string(dice: random.Random, characters: int = 12) -> str:
    return '"' + "".join(_character(dice) for _ in range(dice.randrange(characters))) + '"'


def _double(dice: random.Random) -> float:
    value = struct.unpack("<d", dice.randbytes(8))[0]
    return value if math.isfinite(value) else 0.5


def _number(dice: random.Random) -> str:
    digits = "".join(dice.choices("0123456789", k=dice.choice([1, 2, 15, 16, 17, 20, 21, 22, 30, 310])))
    whole = digits.lstrip("0") or "0"
    forms: list[Callable[[], str]] = [
        lambda: str(dice.randint(-1000, 1000)),
        lambda: dice.choice(["-0", "0", "-0.0", "0e5", "0.0E-3", "-0e+0", "1.0", "100.000", "1e0"]),
        lambda: whole,
        lambda: "-" + whole,
        lambda: f"{whole}.{digits}",
        lambda: f"0.{'0' * dice.randrange(12)}{digits}",
        lambda: f"{dice.randrange(10)}.{digits}e{dice.randint(-12, 25)}",
        lambda: f"-{dice.randrange(1000)}E{dice.choice(['', '+', '-', '-0', '+00'])}{dice.randrange(30)}",
        lambda: f"{dice.randrange(100)}e{dice.randint(-400, 400)}",
        lambda: repr(_double(dice)),
        lambda: f"{_double(dice):.25e}",
        lambda: f"{_double(dice) % 1e22:f}",
        lambda: f"{dice.random() * 10 ** dice.randint(-8, 22)!r}",
        lambda: str(2**53 + dice.randint(-3, 3)),
        lambda: str(2 ** dice.choice([63, 64, 70]) + dice.randint(-2000, 2000)),
        lambda: dice.choice(["5e-324", "2.5e-324", "1.7976931348623157e308", "1.7976931348623159e308", "1e400"]),
        lambda: dice.choice(["1e21", "999999999999999934463", "1e-6", "9.999999999999999e-7", "1e-7", "0.00001"]),
        lambda: "9" * 5_000,
    ]
    return dice.choice(forms[: len(forms) - (dice.random() < 0.9)])()


def _key(dice: random.Random) -> str:
    pool = dice.choice([_NAMES, _INDICES, _NEAR_INDICES, _TRAPS, None])
    if pool is not None:
        return json.dumps(dice.choice(pool), ensure_ascii=dice.random() < 0.5)
    return _string(dice, 5)


def _pad(dice: random.Random, token: str, chance: float) -> str:
    return dice.choice(_WHITE_SPACE) + token + dice.choice(_WHITE_SPACE) if dice.random() < chance else token


def _object(dice: random.Random, levels: int, spaced: float) -> str:
    # Most repeats are avoided, or little would be left to compare.
    keys = {_key(dice) for _ in range(dice.randrange(6))}
    members = [f"{_pad(dice, key, spaced)}:{_value(dice, levels, spaced)}" for key in sorted(keys)]
    dice.shuffle(members)
    return "{" + ",".join(members) + "}"


def _value(dice: random.Random, levels: int, spaced: float = 0.0) -> str:
    match dice.randrange(7 if levels else 4):
        case 0:
            token = dice.choice(["null", "true", "false"])
        case 1 | 2:
            token = _number(dice)
        case 3:
            token = _string(dice)
        case 4:
            token = "[" + ",".join(_value(dice, levels - 1, spaced) for _ in range(dice.randrange(5))) + "]"
        case _:
            token = _object(dice, levels - 1, spaced)
    return _pad(dice, token, spaced)


def _anything(dice: random.Random) -> bytes:
    return _value(dice, 5, dice.choice([0.0, 0.3])).encode()


def _scalars(dice: random.Random) -> bytes:
    return _value(dice, 0, 0.5).encode()


def _numbers(dice: random.Random) -> bytes:
    numbers = [_number(dice) for _ in range(20)]
    return f'{{"n":[{",".join(numbers)}],"m":{numbers[0]}}}'.encode()


def _key_orders(dice: random.Random) -> bytes:
    keys = {chr(dice.randint(*dice.choice(_RANGES))) * dice.randint(1, 2) for _ in range(8)}
    if dice.random() < 0.5:
        keys |= {str(dice.choice([dice.randrange(100), dice.randrange(2**33)])) for _ in range(6)}
    if dice.random() < 0.5:
        keys |= {dice.choice(_NEAR_INDICES + _TRAPS + _NAMES), chr(dice.randrange(0xD800, 0xE000))}
    shuffled = dice.sample(sorted(keys), len(keys))
    return json.dumps(dict.fromkeys(shuffled, 0), ensure_ascii=dice.random() < 0.5).encode("utf-8", "backslashreplace")


def _webhooks(dice: random.Random) -> bytes:
    transactions = [
        {"id": f"tx_{n}", "amount": round(dice.uniform(-1e4, 1e4), 2), "date": "2024-02-29", "pending": n % 2 == 0}
        for n in range(dice.randrange(6))
    ]
    remote: object = {"type": "AGGREGATION", "transactions": transactions, "completed_at": dice.randrange(2**31)}
    members = {
        "type": "financial_connection.sync_data",
        "financial_connection_id": f"{dice.getrandbits(128):032x}",
        "environment": dice.choice(["sandbox", "production"]),
        "source": dice.choice(["plaid", "teller", "mx", ""]),
        "remote_data": remote if dice.random() < 0.5 else json.dumps(remote),
        "historical_transactions_available": True,
        "note": dice.choice(["Café", "naïve", "😀", "plain", "a\u2028b"]),
    }
    text = json.dumps(
        dict(dice.sample(sorted(members.items()), len(members))),
        ensure_ascii=dice.random() < 0.3,
        separators=(",", ":") if dice.random() < 0.6 else None,
        indent=dice.choice([None, None, 2]),
        sort_keys=dice.random() < 0.3,
    )
    return text.encode()


def _repeats(dice: random.Random) -> bytes:
    spellings = [
        '"a"',
        '"\\u0061"',
        '"b"',
        '"type"',
        '"0"',
        '"\\ud800"',
        '"__proto__"',
        '"\\u005F_proto__"',
        '"__proto"',
    ]
    members = [f"{key}:{_value(dice, 2)}" for key in dice.choices(spellings, k=2)]
    return dice.choice(["{%s}", "[0, {%s}]", '{"x":[{%s}], "y":{}}']).replace("%s", ",".join(members)).encode()


def _mutations(dice: random.Random) -> bytes:
    raw = bytearray(_object(dice, 3, 0.2).encode())
    for _ in range(dice.randint(1, 3)):
        start = dice.randrange(len(raw) + 1)
        piece = dice.choice([b"", b",", b'"', b"}", b"[", b":", b"\\", b"0", b"-", b".", b"e", b" ", dice.randbytes(1)])
        raw[start : start + dice.randrange(3)] = piece
    return bytes(raw)


def _truncations(dice: random.Random) -> bytes:
    raw = _webhooks(dice) if dice.random() < 0.5 else _object(dice, 4, 0.2).encode()
    return raw[: dice.randrange(len(raw) + 1)]


def _near_json(dice: random.Random) -> bytes:
    wrong = ["NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "0x1F", "1e", "--1", "undefined", "'x'", "True"]
    wrong += ["//x\n1", "/**/1", "[1,]", '{"a":1,}', "{a:1}", '"\t"', '"\\x41"', '"\\u12G4"', '"\\u+123"', "1 2", "]["]
    wrong += ["\ufeff1", "\u00a01", "\u20281", "\f1", "\v1", "1\0", "٣", "1_000", "[", '"', "{", "nul", "-"]
    return dice.choice([*_WHITE_SPACE, "[", '{"a":', '{"a":1,"b":']).encode() + dice.choice(wrong).encode()


def _nested(dice: random.Random) -> bytes:
    levels = dice.choice([10, 100, 253, 254, 255, 256, 500, 850])
    opened = [dice.choice(["[", "[[],", '{"b":1,"a":', '{"0":', "["]) for _ in range(levels)]
    closed = ["}" if opening.startswith("{") else "]" for opening in reversed(opened)]
    return "".join([*opened, _pad(dice, dice.choice(["1.0", '"[[["', "null"]), 1.0), *closed]).encode()


def _wide(dice: random.Random) -> bytes:
    kinds: list[Callable[[], str]] = [
        lambda: _number(dice),
        lambda: _string(dice, 40),
        lambda: _object(dice, 1, 0.1),
    ]
    members = dice.choice(kinds)
    return ("[" + ",".join(members() for _ in range(dice.randrange(60))) + "]").encode()


def _encodings(dice: random.Random) -> bytes:
    raw = _object(dice, 2, 0.1)
    broken = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x9f"]
    if dice.random() < 0.3:
        return raw.encode(dice.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))
    text = raw.encode()
    at = dice.randrange(len(text) + 1)
    return text[:at] + dice.choice(broken) + text[at:]


_KINDS = [
    _anything, _scalars, _numbers, _key_orders, _webhooks, _repeats, _mutations,
    _truncations, _near_json, _nested, _wide, _encodings,
]  # fmt: skip


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_ambiguous(raw: bytes) -> bool:
    """Judge independently of the project whether a valid text repeats a key or has a `__proto__`."""
    found = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys = [key for key, _ in pairs]
        found.append(len(set(keys)) < len(keys) or "__proto__" in keys)

    json.loads(raw, object_pairs_hook=note, parse_int=float)
    return any(found)


def _compare(raw: bytes, answer: _Answer) -> str:
    """Name how both sides agree; fails where they do not."""
    try:
        body = read_body(raw)
    except NotJson:
        assert answer is None or not _is_utf8(raw), "JavaScript reads it"
        return "no JSON"
    except AmbiguousJson:
        assert answer is None or _is_ambiguous(raw), "it has one reading only"
        return "ambiguous"
    assert answer is not None, "JavaScript refuses it"
    assert not _is_ambiguous(raw), "it has two readings"
    assert body.canonical() == answer[0]
    _assert_signed(raw, answer[1])
    return "signed"


def _assert_signed(raw: bytes, signature: bytes) -> None:
    body = read_body(raw)
    assert verify(body, signature, [_STRANGER, _KEY]) is _KEY
    with pytest.raises(InvalidSignature):
        verify(body, signature, [_STRANGER])


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_no_body_is_read_unlike_javascript_reads_it(oracle: Oracle, kind: Callable[[random.Random], bytes]) -> None:
    """Each kind is seeded by its name, so that a failure comes again."""
    dice = random.Random(kind.__name__)
    bodies = [body for body in (kind(dice) for _ in range(_BODIES_OF_A_KIND)) if body]
    for raw, answer in zip(bodies, oracle.ask(bodies), strict=True):
        try:
            _compare(raw, answer)
        except (AssertionError, InvalidSignature) as difference:
            pytest.fail(f"{difference}\nbody: {raw[:2000]!r}\nJavaScript: {answer and answer[0][:2000]!r}")


def test_the_bodies_compared_are_of_every_outcome(oracle: Oracle) -> None:
    """Most are signed; enough are refused for each reason. Otherwise the comparison would prove little."""
    dice = random.Random("outcomes")
    bodies = [body for body in (kind(dice) for kind in _KINDS for _ in range(100)) if body]
    outcomes = [_compare(raw, answer) for raw, answer in zip(bodies, oracle.ask(bodies), strict=True)]
    assert outcomes.count("signed") > 500
    assert outcomes.count("no JSON") > 200
    assert outcomes.count("ambiguous") > 25


@pytest.mark.parametrize("levels", [901, 5_000])
def test_what_is_too_deep_is_refused_though_javascript_reads_it(oracle: Oracle, levels: int) -> None:
    """The one limit of ours that JavaScript does not share."""
    raw = b"[" * levels + b"]" * levels
    with pytest.raises(TooDeep):
        read_body(raw)
    if levels < 1_000:
        assert oracle.ask([raw]) != [None]

"""The canonical text: what is read, what is refused, and how JavaScript would write it."""

import json
import math
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.canonical import (
    MAX_DEPTH,
    JsonBody,
    depth_exceeds,
    is_index,
    javascript_number,
    key_order,
    read_body,
    read_exact,
    read_plain,
)
from schemas.errors import AmbiguousJson, NotJson, Rejected, TooDeep

# A busy machine is no fault of the code: how long an example takes is not judged.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))
_AMBIGUOUS = {"dup-keys", "proto"}
_REFUSALS = (NotJson, TooDeep, AmbiguousJson)

_TEXTS = st.text(st.characters(codec=None), max_size=8)
_KEYS = st.one_of(
    st.sampled_from(
        ["", "a", "b", "10", "9", "01", "-1", "4294967294", "4294967295", "\U0001f600", "\ue000", "\uffff"]
    ),
    _TEXTS,
).filter(lambda key: key != "__proto__")
_NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=5)


@st.composite
def _spelled(draw: st.DrawFn, values: st.SearchStrategy[object]) -> bytes:
    """Draw one of the many texts of a value."""
    text = json.dumps(
        draw(values),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " :\r")])),
    )
    return text.encode("utf-8", "backslashreplace")


def _canonical(text: str) -> str:
    return read_body(text.encode()).canonical().decode()


@pytest.mark.parametrize("vector", [v for v in _VECTORS if v["name"] not in _AMBIGUOUS], ids=lambda v: v["name"])
def test_a_vector_gets_the_text_that_javascript_gave_it(vector: dict[str, str]) -> None:
    """The vectors were made by running Fuse's published code."""
    assert _canonical(vector["raw"]) == vector["canonical"]


@pytest.mark.parametrize("vector", [v for v in _VECTORS if v["name"] in _AMBIGUOUS], ids=lambda v: v["name"])
def test_a_vector_with_two_readings_is_refused(vector: dict[str, str]) -> None:
    """JavaScript has an answer for these, but other readers of the same body have another."""
    with pytest.raises(AmbiguousJson):
        read_body(vector["raw"].encode())


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("1.0", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1E2", "100"),
        ("12.50", "12.5"),
        ("1e-4", "0.0001"),
        ("1e-5", "0.00001"),
        ("-1.25e-5", "-0.0000125"),
        ("1e-6", "0.000001"),
        ("1.5e-6", "0.0000015"),
        ("9.99e-7", "9.99e-7"),
        ("1E-7", "1e-7"),
        ("-2.5e-9", "-2.5e-9"),
        ("1e-10", "1e-10"),
        ("5e-324", "5e-324"),
        ("1e-400", "0"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("1e20", "100000000000000000000"),
        ("999999999999999868928", "999999999999999900000"),
        ("1e21", "1e+21"),
        ("123456789012345680000000", "1.2345678901234569e+23"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e400", "null"),
        ("-1e400", "null"),
        ("9" * 5_000, "null"),
    ],
)
def test_numbers_are_doubles_in_javascripts_spelling(written: str, spelled: str) -> None:
    """Alone, in an array and in an object, beside a string that looks like a number."""
    assert _canonical(written) == spelled
    assert _canonical(f"[{written}, {written}]") == f"[{spelled},{spelled}]"
    decoy = r'"x":"1e-05\"1e-05\\"'
    assert _canonical(f'{{{decoy},"z":{written},"a":{written}}}') == f'{{"a":{spelled},{decoy},"z":{spelled}}}'


@pytest.mark.parametrize(
    ("keys", "ordered"),
    [
        (["b", "a", "C", "_"], ["C", "_", "a", "b"]),
        (["b", "10", "9", "a", "01", "-1"], ["9", "10", "-1", "01", "a", "b"]),
        (["4294967295", "4294967294", "0"], ["0", "4294967294", "4294967295"]),
        (["00", "0", ""], ["0", "", "00"]),
        (["²", "٣", "1_0", "1"], ["1", "1_0", "²", "٣"]),
        (["\uffff", "\ue000", "\U0001f600", "\ud7ff"], ["\ud7ff", "\U0001f600", "\ue000", "\uffff"]),
        (["\ue000", "\ud800"], ["\ud800", "\ue000"]),
        (["a1", "1", ""], ["1", "", "a1"]),
    ],
)
def test_keys_follow_javascripts_order(keys: list[str], ordered: list[str]) -> None:
    """Array indices lead by value; everything else follows by UTF-16 code unit."""
    assert key_order(keys) == ordered
    text = json.dumps(dict.fromkeys(keys, 0)).encode()
    assert list(json.loads(read_body(text).canonical())) == ordered


@_UNHURRIED
@given(st.lists(_KEYS | st.integers(0, 2**33).map(str), unique=True))
def test_the_order_of_keys_is_that_of_its_definition(keys: list[str]) -> None:
    """The shortcuts for plain keys change nothing."""

    def rank(key: str) -> tuple[int, int, bytes]:
        index = key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1
        return (0, int(key), b"") if index else (1, 0, key.encode("utf-16-be", "surrogatepass"))

    assert key_order(keys) == sorted(keys, key=rank)


@pytest.mark.parametrize("key", ["4294967295", "-0", "00", "1.0", "²", "٣", "1_0", " 5", "", "99999999999"])
def test_a_key_that_only_looks_like_an_index_is_an_ordinary_one(key: str) -> None:
    """Python's own idea of a number is wider than JavaScript's idea of an index."""
    assert not is_index(key)


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    """Escaped pairs become one character; halves stay escapes, in lower case, in keys too."""
    assert _canonical(r'{"\uDBFF":"\uD800\ud83d\ude00\uDFFF"}') == '{"\\udbff":"\\ud800\U0001f600\\udfff"}'


def test_only_what_javascript_escapes_is_escaped() -> None:
    """Control characters, quotes and backslashes; not U+007F, U+2028 or the slash."""
    text = _canonical(r'["\u0000\u0008\t\n\u000b\f\r\u001F\"\\\/\u007f\u2028\u00E9"]')
    assert text == '["\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\x7f\u2028é"]'


@pytest.mark.parametrize("scalar", ["null", "true", "false", '"x"', "7", "[]", "{}", '""'])
def test_a_body_that_is_no_object_has_no_members(scalar: str) -> None:
    """Any JSON value is a JSON text."""
    body = read_body(f" {scalar}\r\n".encode())
    assert body.members == {}
    assert body.canonical() == scalar.encode()


@pytest.mark.parametrize("text", [r'{"type":"\ud800","n":1e9}', '{"type": "x", "n":[1,{}]}', '{"type":"x"}'])
def test_members_hold_strings_verbatim(text: str) -> None:
    """Whichever reader was at work."""
    assert read_body(text.encode()).members["type"] == json.loads(text)["type"]


def test_neither_body_nor_members_show_in_the_repr() -> None:
    """Bodies belong in no log."""
    for raw in (b'{"a":"secret"}', b'{"a":"secret","0":1e-9}'):
        assert "secret" not in repr(read_body(raw))


_NO_JSON = {
    "nothing": b"",
    "white space": b" \n",
    "two values": b"1 2",
    "trailing comma": b'{"a":1,}',
    "comment": b'{"a":1}//x',
    "single quotes": b"{'a':1}",
    "bare key": b"{a:1}",
    "NaN": b"[NaN]",
    "infinity": b"[-Infinity]",
    "leading zero": b"[01]",
    "plus": b"[+1]",
    "bare point": b"[1.]",
    "hexadecimal": b"[0x1]",
    "Arabic digits": "[٣]".encode(),
    "raw control character": b'["\n"]',
    "raw NUL after": b"{}\0",
    "bad escape": b'["\\x41"]',
    "short escape": b'["\\u12"]',
    "signed escape": b'["\\u+123"]',
    "unclosed string": b'["',
    "form feed": b"\f{}",
    "no-break space": "\u00a0{}".encode(),
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32": "{}".encode("utf-32-le"),
    "encoded surrogate": b'["\xed\xa0\x80"]',
    "overlong": b'["\xc0\xaf"]',
    "beyond Unicode": b'["\xf4\x90\x80\x80"]',
    "cut in a character": b'{"a":"\xc3',
}


@pytest.mark.parametrize("raw", _NO_JSON.values(), ids=_NO_JSON.keys())
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    """Also where Python's parser, or one that guesses the encoding, would take it."""
    with pytest.raises(NotJson):
        read_body(raw)


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"a":1,"\u0061":2}',
        b'{"a":1, "b":{"c":[{"x":1,"x":1}]}}',
        b'{"a":{"b":1},"a":{"b":1}}',
        b'{"__proto__":1}',
        rb'[{"a":{"\u005f_proto\u005F_":null}}]',
        rb'{"a":"\ud800","a":1}',
        b'[{"a":1,"a":2},',
    ],
)
def test_a_repeated_key_or_proto_is_refused_however_deep_and_however_spelled(raw: bytes) -> None:
    """Parsers disagree about such a text: what was signed is not what another reader sees."""
    with pytest.raises(AmbiguousJson):
        read_body(raw)


@pytest.mark.parametrize("raw", [b'{"a":"__proto__"}', rb'{"a":"\"__proto__\":"}', b'{"a":{"x":1},"b":{"x":1}}'])
def test_what_only_looks_ambiguous_is_accepted(raw: bytes) -> None:
    """Values and keys of different objects are nobody's problem."""
    assert read_body(raw).canonical() == raw


def _far_down(frames: int, act: Callable[[], bytes]) -> bytes:
    return act() if frames == 0 else _far_down(frames - 1, act)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"b":1,"a":', "}]")])
def test_the_greatest_depth_is_read_and_written_sixty_calls_down(opening: str, closing: str) -> None:
    """A thread of its own starts an empty stack, unlike the test runner."""
    pairs = MAX_DEPTH // opening.count("[") if "{" not in opening else MAX_DEPTH // len(closing)
    raw = (opening * pairs + "7" + closing * pairs).encode()
    with ThreadPoolExecutor(1) as thread:
        canonical = thread.submit(_far_down, 60, lambda: read_body(raw).canonical()).result()
    assert canonical.count(b"[") + canonical.count(b"{") == MAX_DEPTH


@pytest.mark.parametrize("raw", [b"[" * 901, b"[" * 5_000, b'{"a":' * 100_000, b"[" * 901 + b"]" * 901])
def test_a_body_beyond_the_depth_is_refused_closed_or_not(raw: bytes) -> None:
    """Before it is parsed, so that the stack is safe."""
    with pytest.raises(TooDeep):
        read_body(raw)


def test_brackets_in_strings_are_not_depth() -> None:
    """Thousands of them side by side are not either."""
    raw = json.dumps(["[" * 5_000, '\\"[{' * 5_000, *[[] for _ in range(5_000)]], separators=(",", ":")).encode()
    assert read_body(raw).canonical() == raw
    with pytest.raises(TooDeep):
        read_body(raw, max_depth=1)


def test_a_stack_that_ends_early_is_the_same_refusal() -> None:
    """Whoever calls from far down the stack gets TooDeep and no RecursionError."""
    raw = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    with ThreadPoolExecutor(1) as thread, pytest.raises(TooDeep):
        thread.submit(_far_down, 400, lambda: read_body(raw).canonical()).result()
    body = read_exact(raw)
    with ThreadPoolExecutor(1) as thread, pytest.raises(TooDeep):
        thread.submit(_far_down, 400, body.canonical).result()


def _depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
        case _:
            return 0


@_UNHURRIED
@given(_spelled(_VALUES), st.integers(0, 6))
def test_depth_is_counted_as_a_parser_would_count_it(raw: bytes, limit: int) -> None:
    """Escaped quotes and backslashes do not hide where a string ends."""
    assert depth_exceeds(raw, limit) == (_depth(json.loads(raw)) > limit)


@settings(_UNHURRIED, max_examples=300)
@given(_spelled(_OBJECTS))
@example(b'{"b":1e-7,"a":0.00001}')
@example(b'{"b":-0,"a":1E400}')
@example('{"\U0001f600":1,"\uffff":2}'.encode())
def test_both_readers_agree(raw: bytes) -> None:
    """The fast reader may decline, but never differ."""
    plain, exact = read_plain(raw), read_exact(raw)
    if plain is not None:
        assert plain.canonical() == exact.canonical()
        assert {k: v for k, v in plain.members.items() if isinstance(v, str)} == {
            k: v for k, v in exact.members.items() if isinstance(v, str)
        }


@_UNHURRIED
@given(
    st.dictionaries(
        st.text(string.ascii_letters),
        st.text(st.characters(exclude_categories=["Cs"])) | st.booleans() | st.integers(-(10**14), 10**14),
    ),
    st.booleans(),
)
def test_ordinary_bodies_take_the_fast_reader(members: dict[str, object], compact: bool) -> None:  # noqa: FBT001 - drawn
    """Else the agreement of both would say nothing, and the ingress would be slow."""
    text = json.dumps(members, separators=(",", ":") if compact else None, ensure_ascii=compact)
    assert read_plain(text.encode()) is not None


@settings(_UNHURRIED, max_examples=300)
@given(_spelled(_VALUES))
def test_the_canonical_text_is_its_own_canonical_text(raw: bytes) -> None:
    """It is compact JSON, and nothing is left to change."""
    canonical = read_body(raw).canonical()
    assert read_body(canonical).canonical() == canonical
    assert b"\n" not in canonical


@_UNHURRIED
@given(_spelled(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_keeps_its_double(raw: bytes) -> None:
    """The spelling changes, the value does not."""
    assert float(read_body(raw).canonical()) == float(raw)


@_UNHURRIED
@given(st.floats(allow_nan=False))
def test_a_number_becomes_what_python_writes_alike(value: float) -> None:
    """Integers as integers, infinity as null, everything else as it is."""
    number = javascript_number(value)
    assert number is None if math.isinf(value) else number is not None and math.isclose(number, value, rel_tol=1e-15)
    assert isinstance(number, int) == (value.is_integer() and abs(value) < 1e21)


def _outcome(raw: bytes) -> JsonBody | Rejected:
    try:
        body = read_body(raw)
        body.canonical().decode("utf-8")
    except Rejected as refusal:
        return refusal
    return body


@_UNHURRIED
@given(st.binary() | st.text('[]{}",:\\u0d8e-+.1 \ufeffNaInfty').map(str.encode))
def test_no_bytes_raise_anything_but_the_three_refusals(raw: bytes) -> None:
    """Whatever arrives, the sender gets an answer."""
    assert isinstance(_outcome(raw), (JsonBody, *_REFUSALS))


@settings(_UNHURRIED, max_examples=300)
@given(_spelled(_VALUES), st.data())
def test_no_mutation_raises_anything_but_the_three_refusals(raw: bytes, data: st.DataObject) -> None:
    """Cut anywhere, with a piece of anything in its place; and both readers still agree."""
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    mutated = raw[:start] + data.draw(st.binary(max_size=3)) + raw[end:]
    assert isinstance(_outcome(mutated), (JsonBody, *_REFUSALS))
    plain = read_plain(mutated)
    assert plain is None or plain.canonical() == read_exact(mutated).canonical()


@pytest.mark.parametrize("raw", [b'{"a":"secret"', b'{"a":"secret\xff"}', b'{"a":"secret","a":1}', b'["secret",NaN]'])
def test_a_refusal_carries_no_piece_of_the_body(raw: bytes) -> None:
    """Neither in its words nor in an error that it was raised from."""
    refusal = _outcome(raw)
    assert isinstance(refusal, Rejected)
    assert "secret" not in str(refusal)
    assert refusal.__context__ is None

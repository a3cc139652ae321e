"""Hostile bodies, signed by Node as Fuse signs them, over HTTP: every one is stored as it came or refused with 400."""

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.event import Environment
from tests.ingress.conftest import KEYS, Ingress
from tests.schemas import test_against_node
from tests.schemas.test_against_node import Oracle

_SCRIPT = Path(test_against_node.__file__).with_name("canonical_oracle.mjs")
_BODIES = 600
_PIECES = (
    b'{ } [ ] , : " \\ \\u0061 \\ud800 \\udc00 "a" "b" "10" "9" "type" "__proto__" "environment" "sandbox" 1.0 -0 '
    b"1e400 1E-7 12345678901234567890123 null true NaN \xff \0 \xef\xbb\xbf \xc3\xa9 \xf0\x9f\x98\x80 \xee\x80\x80"
).split(b" ")
_NUMBERS: list[object] = [0, -0.0, 1.5, 1e21, 1e-7, 5e-324, 2**53 + 1, 10**20, True, None]
_TEXTS: list[object] = ["", "c-1", "\ud800", "\u2028", "\x7f\x1f", "é", "\U0001f600"]
_NAMES = ["type", "financial_connection_id", "source", "environment", "2", "10", "01", "\ue000", "\U00010000", "é", ""]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """Start Node, which signs with the tenant's key of the sandbox."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not on the PATH, so there is no JavaScript to sign with")
    command = [node, str(_SCRIPT), KEYS[Environment.SANDBOX].get_secret_value()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()


async def test_every_hostile_body_is_stored_as_it_came_or_refused_as_javascript_would(
    ingress: Ingress, oracle: Oracle
) -> None:
    """Never another status, and no connection is dropped. Beyond JavaScript we refuse what has two readings only."""
    dice = random.Random("hostile")
    bodies = [body for body in (_hostile(dice) for _ in range(_BODIES)) if body]
    answers: Counter[tuple[str, int]] = Counter()
    for body, signed in zip(bodies, oracle.ask(bodies), strict=True):
        sent = signed[1].decode() if signed else "unsigned"
        answer = await ingress.post(body, {"fuse-verification": sent})
        expected = 200 if signed and _is_plain(body) else 400
        assert answer.status == expected, (body, signed)
        assert expected == 400 or ingress.log.records[-1].value == body
        answers["signed" if signed else "refused by JavaScript", answer.status] += 1
    assert min(answers["signed", 200], answers["signed", 400], answers["refused by JavaScript", 400]) > 20


def _hostile(dice: random.Random) -> bytes:
    layout: tuple[int | None, tuple[str, str] | None] = dice.choice([(None, None), (1, None), (None, (",", ":"))])
    text = json.dumps(_value(dice, 4), ensure_ascii=dice.random() < 0.5, indent=layout[0], separators=layout[1])
    body = text.encode("utf-8", "backslashreplace")
    if dice.random() < 0.1:
        body = b'{"a":%b,"\\u0061":%b}' % (body, body)
    while dice.random() < 0.3:
        at = dice.randrange(len(body) + 1)
        body = body[:at] + dice.choice(_PIECES) + body[at + dice.randrange(2) :]
    return body


def _value(dice: random.Random, levels: int) -> object:
    if not levels or dice.random() < 0.3:
        return dice.choice(_NUMBERS + _TEXTS)
    if dice.random() < 0.3:
        return [_value(dice, levels - 1) for _ in range(dice.randrange(4))]
    return {dice.choice(_NAMES): _value(dice, levels - 1) for _ in range(dice.randrange(6))}


def _is_plain(body: bytes) -> bool:
    """Judge without the project's code whether a text that JavaScript reads has one reading only."""
    repeated = []

    def note(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        repeated.append(len({*names}) < len(names) or "__proto__" in names)

    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=note, parse_int=float)
    except UnicodeDecodeError:  # JavaScript has read it with replacement characters
        return False
    return not any(repeated)

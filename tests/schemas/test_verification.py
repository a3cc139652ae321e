"""Who signed a body: the right key, or nobody."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.canonical import read_body
from schemas.errors import InvalidSignature
from schemas.event import Environment
from schemas.verification import SigningKey, sign, verify

# A busy machine is no fault of the code: how long an example takes is not judged.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))
    if vector["name"] not in {"dup-keys", "proto"}
]


def _key(secret: str, environment: Environment = Environment.SANDBOX) -> SigningKey:
    return SigningKey(environment=environment, secret=SecretStr(secret))


_OLD, _NEW, _LIVE = _key("old"), _key("new"), _key("live", Environment.PRODUCTION)
_BODY = read_body(b'{"type": "t", "remote_data": {"b": 1.0, "a": 2}}')
_CANONICAL = b'{"remote_data":{"a":2,"b":1},"type":"t"}'


@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_is_signed_by_its_key(vector: dict[str, str]) -> None:
    """The signatures were made by running Fuse's published code."""
    key = _key(vector["key"])
    assert sign(vector["canonical"].encode(), key.secret) == vector["signature"].encode()
    for text in (vector["raw"], vector["canonical"]):
        assert verify(read_body(text.encode()), vector["signature"].encode(), [key]) is key


@_UNHURRIED
@given(st.binary(), st.text(st.characters(codec="utf-8")))
def test_a_signature_is_padded_base64_of_the_mac(text: bytes, secret: str) -> None:
    """The key is used as its UTF-8 text."""
    mac = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    assert sign(text, SecretStr(secret)) == _key(secret).sign(text) == base64.b64encode(mac)
    assert len(sign(text, SecretStr(secret))) == 44


@pytest.mark.parametrize("signer", [_OLD, _NEW, _LIVE])
def test_the_key_that_signed_is_found_among_all(signer: SigningKey) -> None:
    """Keys rotate with overlap, and a body that names no environment may be of either."""
    assert verify(_BODY, sign(_CANONICAL, signer.secret), [_OLD, _NEW, _LIVE]) is signer


def test_a_signature_over_the_bytes_as_received_is_refused() -> None:
    """Fuse signs the canonical text and nothing else, so whoever signed other bytes is not Fuse."""
    with pytest.raises(InvalidSignature):
        verify(_BODY, sign(_BODY.raw, _NEW.secret), [_OLD, _NEW])


_GOOD = sign(_CANONICAL, _NEW.secret)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"A" * 44,
        _GOOD[:-1],
        _GOOD.rstrip(b"="),
        _GOOD + b"=",
        _GOOD + b"\n",
        b" " + _GOOD,
        _GOOD.swapcase(),
        _GOOD.replace(b"=", b"%3D"),
        base64.b64decode(_GOOD),
        base64.b64decode(_GOOD).hex().encode(),
        "é".encode("latin-1") * 44,
        "\u0660".encode() * 22,
        sign(_CANONICAL, SecretStr("stranger")),
        sign(_CANONICAL.replace(b"2", b"3"), _NEW.secret),
    ],
)
def test_anything_but_the_exact_signature_is_refused(signature: bytes) -> None:
    """Also what a lenient decoder would take for the same, and what is no text."""
    with pytest.raises(InvalidSignature):
        verify(_BODY, signature, [_OLD, _NEW, _LIVE])


def test_the_unused_bits_of_the_last_character_count() -> None:
    """Four spellings decode to the same mac; only one is the signature."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(_GOOD[42])
    twin = _GOOD[:42] + bytes([alphabet[last ^ 1]]) + b"="
    assert base64.b64decode(twin) == base64.b64decode(_GOOD)
    with pytest.raises(InvalidSignature):
        verify(_BODY, twin, [_NEW])


def test_without_keys_nothing_is_verified() -> None:
    """As for a tenant that nobody knows, and with the same words."""
    with pytest.raises(InvalidSignature) as without:
        verify(_BODY, _GOOD, [])
    with pytest.raises(InvalidSignature) as wrong:
        verify(_BODY, b"x" * 44, [_NEW])
    assert str(without.value) == str(wrong.value)


def test_every_key_is_compared_even_after_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes must not tell which key matched."""
    compared: list[bytes] = []
    original = hmac.compare_digest

    def noting(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        return original(ours, theirs)

    monkeypatch.setattr("schemas.verification.hmac.compare_digest", noting)
    verify(read_body(_CANONICAL), sign(_CANONICAL, _OLD.secret), [_OLD, _NEW, _LIVE])
    assert len(compared) == 3


@_UNHURRIED
@given(st.binary(max_size=60))
def test_no_header_breaks_the_comparison(signature: bytes) -> None:
    """Whatever the bytes, a forgery is a forgery."""
    with pytest.raises(InvalidSignature):
        verify(_BODY, signature, [_NEW])


def test_secrets_and_macs_appear_in_no_repr_and_no_error() -> None:
    """A log of either must not help to forge."""
    with pytest.raises(InvalidSignature) as refused:
        verify(_BODY, b"x" * 44, [_key("hunter2")])
    assert "hunter2" not in repr(_key("hunter2")) + str(refused.value)
    assert sign(_CANONICAL, SecretStr("hunter2")).decode() not in str(refused.value)

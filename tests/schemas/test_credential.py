"""Credentials by reference: what arrives in the header, and what is refused."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.credential import MAX_FILE_BYTES, BadCredential, Sources, resolve

PEM = f"-----BEGIN CERTIFICATE-----\n{'QUJD' * 30}\n-----END CERTIFICATE-----\n"


def _sources(folder: Path = Path("/nowhere"), **environ: str) -> Sources:
    return Sources(environ=environ, folder=folder, allow_literals=True)


def _from_file(folder: Path, content: bytes, *, pem: bool = False) -> str:
    (folder / "secret").write_bytes(content)
    return resolve("file:secret", _sources(folder), pem=pem).get_secret_value()


def test_a_variable_is_taken_as_it_is() -> None:
    """Blanks within included."""
    assert resolve("env:KEY", _sources(KEY="a b:c=")).get_secret_value() == "a b:c="


def test_a_path_starts_from_the_folder_of_the_tenants_file_unless_it_is_absolute(tmp_path: Path) -> None:
    """So that the file and its secrets move together."""
    (tmp_path / "secret").write_text("s")
    assert resolve("file:secret", _sources(tmp_path)).get_secret_value() == "s"
    assert resolve(f"file:{tmp_path}/secret", _sources()).get_secret_value() == "s"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_one_newline_at_the_end_of_a_file_is_dropped(tmp_path: Path, end: bytes) -> None:
    """Editors and echo put it there."""
    assert _from_file(tmp_path, b"key" + end) == "key"


@pytest.mark.parametrize(
    "content",
    [b"key\n\n", b"key \n", b" key", b"key\r", b"a\nb", b"a\0b", b"a\x07b", b"\tkey", "kéy".encode(), b"\n", b""],
)
def test_what_no_header_carries_as_it_is_is_refused(tmp_path: Path, content: bytes) -> None:
    """Two newlines are one too many: what was meant cannot be told."""
    with pytest.raises(BadCredential):
        _from_file(tmp_path, content)


@pytest.mark.parametrize("value", ["key\n", " key", "key ", "k\u00e9y", "k\u20acy", "a\rb", "", "\udc80"])
def test_a_variable_with_such_a_value_is_refused_too(value: str) -> None:
    """Nothing is trimmed off a variable; a byte that is not UTF-8 reaches us as a lone surrogate."""
    with pytest.raises(BadCredential):
        resolve("env:KEY", _sources(KEY=value))


@given(st.text())
def test_a_literal_is_sent_as_it_is_or_refused_without_being_repeated(text: str) -> None:
    """Whatever is accepted is printable ASCII without blanks around it, unchanged."""
    secret = f"s3cr3t{text}"
    try:
        value = resolve(secret, _sources()).get_secret_value()
    except BadCredential as error:
        told = f"{error!r}{error.__cause__!r}{error.__context__!r}"
    else:
        told = ""
        assert value == secret == value.strip()
        assert value.isascii()
        assert value.isprintable()
    assert "s3cr3t" not in told


def test_a_literal_is_refused_where_the_file_does_not_allow_it() -> None:
    """The sentence names both ways out, and not the literal."""
    sources = Sources(environ={}, folder=Path(), allow_literals=False)
    with pytest.raises(BadCredential, match=r"^is given literally; write env:NAME or file:PATH, or put") as caught:
        resolve("s3cr3t", sources)
    assert "s3cr3t" not in repr(caught.value)


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("env:NOPE", "environment variable NOPE, which is not set"),
        ("env:", "names no environment variable"),
        ("env:two words", "names no environment variable"),
        ("file:nope", r"nope, which cannot be read \(No such file"),
        ("file:.", r"cannot be read \(Is a directory"),
        ("file:", "names no file"),
        ("file:a\0b", "names no file"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(tmp_path: Path, reference: str, sentence: str) -> None:
    """It says where it led."""
    with pytest.raises(BadCredential, match=sentence):
        resolve(reference, _sources(tmp_path))


def test_a_file_too_large_for_a_credential_is_refused(tmp_path: Path) -> None:
    """A wrong path must not fill the memory."""
    assert len(_from_file(tmp_path, b"k" * MAX_FILE_BYTES)) == MAX_FILE_BYTES
    with pytest.raises(BadCredential, match="larger than 64 KiB"):
        _from_file(tmp_path, b"k" * (MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\r\n"), PEM * 3, f"Bag Attributes: é\n{PEM}", PEM.strip()])
def test_a_pem_file_becomes_one_line_of_base64_of_all_its_bytes(tmp_path: Path, text: str) -> None:
    """Unwrapped, with whatever stands around the PEM blocks."""
    value = _from_file(tmp_path, text.encode(), pem=True)
    assert "\n" not in value
    assert base64.b64decode(value, validate=True) == text.encode()


def test_a_pem_variable_or_literal_is_encoded_too() -> None:
    """The same bytes, the same header."""
    encoded = base64.b64encode(PEM.encode()).decode()
    assert resolve("env:PEM", _sources(PEM=PEM), pem=True).get_secret_value() == encoded
    assert resolve(PEM, _sources(), pem=True).get_secret_value() == encoded


def test_a_pem_value_that_is_base64_already_is_left_alone(tmp_path: Path) -> None:
    """Encoding it twice would be the mistake that is hardest to see."""
    encoded = base64.b64encode(PEM.encode())
    assert _from_file(tmp_path, encoded + b"\n", pem=True) == encoded.decode()


@pytest.mark.parametrize(
    "content",
    [
        PEM.replace("\n", "").encode(),
        PEM.replace("\n", "\\n").encode(),
        PEM[:60].encode(),
        base64.encodebytes(PEM.encode()),
        b"QU!JD",
        b"\x30\x82\x01\x0a",
        b"",
        b"\n",
    ],
    ids=[
        "no line breaks",
        "escaped line breaks",
        "cut off",
        "wrapped base64",
        "junk in base64",
        "DER",
        "empty",
        "blank",
    ],
)
def test_a_pem_value_in_any_other_shape_is_refused(tmp_path: Path, content: bytes) -> None:
    """Some HTTP clients drop line breaks silently and send a corrupt PEM: it has to fail here."""
    with pytest.raises(BadCredential):
        _from_file(tmp_path, content, pem=True)


@pytest.mark.parametrize(
    ("content", "pem", "sentence"),
    [
        (b"a\nb", False, "has a line break or NUL within"),
        (PEM.replace("\n", "\\n").encode(), True, "is a PEM text that is cut off or has lost its line breaks"),
        (base64.encodebytes(PEM.encode()), True, "is neither PEM nor base64 of it on one line"),
    ],
)
def test_the_likeliest_mistakes_are_told_from_each_other(
    tmp_path: Path, content: bytes, sentence: str, *, pem: bool
) -> None:
    """Each with what to do about it."""
    with pytest.raises(BadCredential, match=f"^{sentence}.*; "):
        _from_file(tmp_path, content, pem=pem)


def test_a_resolved_secret_does_not_show() -> None:
    """SecretStr from the start."""
    assert "s3cr3t" not in repr(resolve("s3cr3t", _sources()))

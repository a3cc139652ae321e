"""A credential as the tenants file gives it: by reference, or literally where the file allows that.

Values end up in HTTP headers and have to arrive as they are, so whatever some HTTP client would trim, re-encode or
refuse is refused here. No message ever holds a value, nor a part of one.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from schemas.errors import Permanent

MAX_FILE_BYTES = 64 * 1024
"""No credential is larger; bounds what a wrong path can make us read."""

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----[ \t]*\r?\n.+-----END [A-Z0-9 ]+-----", re.DOTALL)


class BadCredential(Permanent):
    """A value cannot be used; the message says why in words that follow its place in the file, without the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where references lead: environment variables, the folder that paths start from, and whether literals may be."""

    environ: Mapping[str, str]
    folder: Path
    allow_literals: bool


def resolve(text: str, sources: Sources, *, pem: bool = False) -> SecretStr:
    """Follow `env:NAME` or `file:PATH`, or take a literal; a `pem` one becomes one line of base64.

    Exactly one newline at the end of a file is dropped, since editors and `echo` put it there. Raises BadCredential.
    """
    content = _content(text, sources)
    value = _pem_value(content) if pem else _text(_without_newline(content) if text.startswith("file:") else content)
    return SecretStr(_header_value(value))


def _content(text: str, sources: Sources) -> bytes:
    kind, _, name = text.partition(":")
    if kind == "env":
        return _variable(name, sources.environ)
    if kind == "file":
        return _file(name, sources.folder)
    if not sources.allow_literals:
        raise BadCredential(
            "is given literally; write env:NAME or file:PATH, or put allow_literals = true at the top of the file"
        )
    return text.encode("utf-8", "surrogatepass")


def _variable(name: str, environ: Mapping[str, str]) -> bytes:
    if not _VARIABLE_NAME.fullmatch(name):
        raise BadCredential("names no environment variable after env: (letters, digits and '_')")
    if name not in environ:
        raise BadCredential(f"refers to the environment variable {name}, which is not set")
    return environ[name].encode("utf-8", "surrogateescape")


def _file(name: str, folder: Path) -> bytes:
    if not name or "\0" in name:
        raise BadCredential("names no file after file:")
    path = folder / name
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadCredential(f"refers to the file {path}, which cannot be read ({error.strerror})") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadCredential(f"refers to the file {path}, which is larger than 64 KiB, so no credential")
    return content


def _without_newline(content: bytes) -> bytes:
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content


def _pem_value(content: bytes) -> str:
    if _PEM.search(content):
        return base64.b64encode(content).decode("ascii")
    encoded = _without_newline(content)
    if b"-----BEGIN" in content:
        raise BadCredential("is a PEM text that is cut off or has lost its line breaks; refer to the file itself")
    if not _is_base64(encoded):
        raise BadCredential("is neither PEM nor base64 of it on one line (base64 -w0); refer to the PEM file itself")
    return encoded.decode("ascii")


def _is_base64(content: bytes) -> bool:
    try:
        return base64.b64decode(content, validate=True) != b""
    except binascii.Error:
        return False


def _text(content: bytes) -> str:
    if not content.isascii():
        raise BadCredential(
            "has a character that is not ASCII, which headers cannot carry; check that it was copied whole"
        )
    return content.decode("ascii")


def _header_value(value: str) -> str:
    if not value:
        raise BadCredential("is empty; remove it or give it a value")
    if any(character in value for character in "\r\n\0"):
        raise BadCredential("has a line break or NUL within, which headers cannot carry; give it on one line")
    if value != value.strip():
        raise BadCredential("begins or ends with a blank; remove it, since HTTP would drop it on the way")
    if not value.isprintable():
        raise BadCredential(
            "has a control character within, which headers cannot carry; check that it was copied whole"
        )
    return value

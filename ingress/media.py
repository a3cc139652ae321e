"""What the sender says the body is: plain JSON, or nothing at all."""

from functools import lru_cache

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from schemas.errors import UnsupportedMedia


def check_media(headers: CIMultiDictProxy[str]) -> None:
    """Refuse a body that is declared to be anything but JSON as it stands.

    A missing content type is accepted, since what the body is shows when it is read. A content encoding is not: the
    bytes forwarded are the bytes received. Raises UnsupportedMedia.
    """
    for content_type in headers.getall(hdrs.CONTENT_TYPE, ()):
        if not _is_json(content_type):
            raise UnsupportedMedia("the Content-Type has to be application/json: send the webhook as Fuse does")
    if hdrs.CONTENT_ENCODING in headers and not _is_identity(headers.getall(hdrs.CONTENT_ENCODING)):
        raise UnsupportedMedia("the body has a Content-Encoding: send it as it is, without compression")


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence in {"", "application/json"} or (essence.startswith("application/") and essence.endswith("+json"))


def _is_identity(codings: list[str]) -> bool:
    return all(coding.strip().lower() in {"", "identity"} for coding in codings)

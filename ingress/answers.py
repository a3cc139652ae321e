"""The answers to all that was not accepted: what was wrong and what to do, always in JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from aiohttp import hdrs, web

from ingress.accepted import JSON, SERVER
from schemas.errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidSignature,
    OverLimit,
    Rejected,
    UnsupportedMedia,
)

_HEADERS: Final = {hdrs.CONTENT_TYPE: JSON, hdrs.SERVER: SERVER}
_STATUS: Final[Mapping[type[Rejected], int]] = {
    InvalidSignature: 403,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    UnsupportedMedia: 415,
    OverLimit: 429,
}
_BAD_REQUEST: Final = 400
_INVALID: Final = "Invalid webhook"
"""The words of Fuse's example receiver; they tell a forger nothing, not even whether the tenant exists."""


def refused(error: Rejected) -> web.Response:
    """Say what is wrong with the request and what to send instead."""
    message = _INVALID if isinstance(error, InvalidSignature) else str(error)
    answer = _message(_STATUS.get(type(error), _BAD_REQUEST), message)
    if isinstance(error, OverLimit):
        answer.headers[hdrs.RETRY_AFTER] = _whole_seconds(error.retry_after)
    return answer


def not_stored(retry_after: float) -> web.Response:
    """Say that the webhook is not known to be in the log, and to send it again after so many seconds."""
    seconds = _whole_seconds(retry_after)
    answer = _message(503, f"The webhook could not be stored: send it again after {seconds} s")
    answer.headers[hdrs.RETRY_AFTER] = seconds
    return answer


def no_such_path() -> web.Response:
    """Say which paths there are."""
    return _message(404, "There is nothing here: POST webhooks to /webhooks/{tenant}")


def wrong_method(allowed: Sequence[str]) -> web.Response:
    """Say which methods the path knows."""
    names = ", ".join(allowed)
    answer = _message(405, f"This path knows {names} only")
    answer.headers[hdrs.ALLOW] = names
    return answer


def unreadable_request() -> web.Response:
    """Say that the request is not HTTP as we speak it. The connection ends, since what follows cannot be trusted."""
    answer = _message(_BAD_REQUEST, "The request is not well-formed HTTP/1.1, or its headers are too large")
    answer.force_close()
    return answer


def health(reasons: Sequence[str] = ()) -> web.Response:
    """Say that all is well, or 503 and why not."""
    body = {"status": "unavailable" if reasons else "ok", "reasons": list(reasons)}
    return web.Response(status=503 if reasons else 200, body=orjson.dumps(body), headers=_HEADERS)


def _message(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"message": message}), headers=_HEADERS)


def _whole_seconds(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))

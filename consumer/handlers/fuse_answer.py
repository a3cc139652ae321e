"""Fuse's answer to a call: what of it decides, and what follows."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from consumer.failures import DONE, Answer, Rule, Step, decide
from consumer.handlers.http_client import Answered
from schemas.errors import DestinationDown, Misconfigured, Permanent, Retryable
from schemas.outcome import Applied, HandlerResult, Ignored

_SECONDS = re.compile(r"[0-9]+")
_MOST_SECONDS = 1e9
"""What is not below that says nothing usable: no lane may be made to wait for centuries by one answer."""
_WORD = re.compile(r"[a-z0-9_]{1,64}")


def judge(answered: Answered, overrides: Mapping[str, str]) -> HandlerResult:
    """Give the result of a call that was answered, or raise what its failure is: see docs/failures.md.

    Raises Retryable, DestinationDown, Misconfigured or Permanent. Of the body only Fuse's words for the error are
    repeated, since anything else may quote what must not be.
    """
    status = answered.status
    if status in DONE:
        return Applied(status=status)
    answer = read_answer(status, answered.body)
    rule = decide(answer, overrides)
    if rule.step is Step.IGNORED:
        return Ignored(reason=answer.code or f"status_{status}")
    raise _error(answer, rule, parse_retry_after(answered.retry_after, datetime.now(UTC)))


def _error(answer: Answer, rule: Rule, seconds: float | None) -> Exception:
    text = " ".join(filter(None, (f"answered {answer.status}", answer.code or answer.type)))
    message = f"{text}: {rule.because}"
    if rule.step is Step.DEAD:
        return Permanent(message, status=answer.status)
    kinds = {Step.DOWN: DestinationDown, Step.MISCONFIGURED: Misconfigured}
    return kinds.get(rule.step, Retryable)(message, retry_after=seconds, status=answer.status)


def read_answer(status: int, body: bytes) -> Answer:
    """Read Fuse's error out of a body, which may be anything."""
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        error = None
    if not isinstance(error, dict):
        return Answer(status=status)
    return Answer(status=status, **{name: _word(error.get(name)) for name in ("type", "code", "source")})


def _word(value: object) -> str | None:
    # In lower case: the prose of Fuse's documentation spells types in upper case, its SDKs do not.
    word = value.lower() if isinstance(value, str) else ""
    return word if _WORD.fullmatch(word) else None


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3): seconds from `now`; None if it says nothing usable."""
    seconds = None if text is None else _seconds(text, now)
    return seconds if seconds is not None and seconds < _MOST_SECONDS else None


def _seconds(text: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a time zone of astronomical size
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())

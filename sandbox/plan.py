"""The failure plan: which calls the fake Fuse fails, how, when and how often. Pure, and the same for the same seed."""

import math
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigurationError

Seconds = Annotated[float, Field(ge=0, le=86_400)]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("a range of delays starts with the shorter one")
    return bounds


Delay = Seconds | Annotated[tuple[Seconds, Seconds], AfterValidator(_ascending)]
"""Seconds, or [shortest, longest], drawn uniformly per call."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(_Model):
    """Answer with an error. `type` and `code` are Fuse's; left out, they are those that fit the status."""

    do: Literal["answer"]
    status: int = Field(ge=300, le=599)
    type: str | None = None
    code: str | None = None
    source: Literal["internal", "aggregator"] = "internal"
    retry_after: int | None = Field(default=None, ge=0, description="Seconds.")
    retry_after_form: Literal["seconds", "date"] = "seconds"
    delay: Delay | None = Field(default=None, description="Before the answer; left out: the plan's.")


class Late(_Model):
    """Sync as usual, but after a delay of this rule's own."""

    do: Literal["late"]
    delay: Delay


class Hang(_Model):
    """Never answer; the call ends when the client gives up."""

    do: Literal["hang"]


class Reset(_Model):
    """Break the connection without an answer."""

    do: Literal["reset"]
    delay: Delay | None = None


Action = Annotated[Answer | Late | Hang | Reset, Field(discriminator="do")]


class Rule(_Model):
    """One kind of failure, and the calls it befalls: those that meet all of its conditions.

    `tenant` and `connection` are names or globs. `since` and `until` are seconds after the plan took effect, the end
    excluded. `share` is that of calls, drawn per attempt. `first_attempts` ends the failure: only so many calls of one
    event meet it.
    """

    tenant: str = "*"
    connection: str = "*"
    share: float = Field(default=1.0, gt=0, le=1)
    since: Seconds = 0.0
    until: Seconds | None = None
    first_attempts: int | None = Field(default=None, ge=1)
    action: Action


class Plan(_Model):
    """The rules, of which the first that matches a call decides, and the delay of every other answer."""

    seed: int = 0
    delay: Delay = 0.0
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call as the plan sees it. `event` is its identity, `number` counts its calls from 1, `elapsed` is seconds."""

    tenant: str
    connection: str
    event: str
    number: int
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to a call: after `delay` seconds the action, or a sync where there is none."""

    delay: float
    action: Answer | Hang | Reset | None = None


def decide(plan: Plan, attempt: Attempt) -> Decision:
    """Decide what happens to a call."""
    for number, rule in enumerate(plan.rules):
        if _matches(rule, attempt) and _within_share(rule, plan.seed, number, attempt):
            return _carry_out(rule.action, plan, attempt)
    return Decision(delay=_seconds(plan.delay, plan.seed, attempt))


def retry_after(answer: Answer, now: datetime) -> str | None:
    """Write the Retry-After header (RFC 9110, section 10.2.3); a date is rounded up, so that it never shortens."""
    if answer.retry_after is None:
        return None
    if answer.retry_after_form == "seconds":
        return str(answer.retry_after)
    moment = math.ceil(now.timestamp()) + answer.retry_after
    return format_datetime(datetime.fromtimestamp(0, UTC) + timedelta(seconds=moment), usegmt=True)


def load_plan(path: Path) -> Plan:
    """Read a plan from a TOML file, or from a JSON file when its name ends so. Raises ConfigurationError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}."]) from None
    return parse_plan(text, json=path.suffix == ".json")


def parse_plan(text: bytes, *, json: bool) -> Plan:
    """Read a plan from JSON or TOML text. Raises ConfigurationError with a sentence for every fault."""
    try:
        return Plan.model_validate(_tree(text, json=json))
    except ValidationError as error:
        raise ConfigurationError([_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]) from None


def _tree(text: bytes, *, json: bool) -> object:
    try:
        return orjson.loads(text) if json else tomllib.loads(text.decode())
    except (orjson.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"the failure plan is not {'JSON' if json else 'TOML'}: {error}."]) from None


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(step) for step in place)}: {message.removeprefix('Value error, ')}."


def _matches(rule: Rule, attempt: Attempt) -> bool:
    return (
        rule.since <= attempt.elapsed
        and (rule.until is None or attempt.elapsed < rule.until)
        and (rule.first_attempts is None or attempt.number <= rule.first_attempts)
        and _names(rule.tenant, attempt.tenant)
        and _names(rule.connection, attempt.connection)
    )


def _names(pattern: str, name: str) -> bool:
    return pattern in {"*", name} or fnmatchcase(name, pattern)


def _within_share(rule: Rule, seed: int, number: int, attempt: Attempt) -> bool:
    return rule.share >= 1 or _draw(seed, f"share {number}", attempt) < rule.share


def _carry_out(action: Action, plan: Plan, attempt: Attempt) -> Decision:
    match action:
        case Hang():
            return Decision(delay=0.0, action=action)
        case Late():
            return Decision(delay=_seconds(action.delay, plan.seed, attempt))
        case _:
            own = plan.delay if action.delay is None else action.delay
            return Decision(delay=_seconds(own, plan.seed, attempt), action=action)


def _seconds(delay: Delay, seed: int, attempt: Attempt) -> float:
    if isinstance(delay, tuple):
        shortest, longest = delay
        return shortest + (longest - shortest) * _draw(seed, "delay", attempt)
    return delay


def _draw(seed: int, purpose: str, attempt: Attempt) -> float:
    """Draw from [0, 1) by hash: no state, so neither the order of calls nor a restart changes what befalls a call."""
    text = f"{seed}\n{purpose}\n{attempt.event}\n{attempt.number}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest()) / 2**64

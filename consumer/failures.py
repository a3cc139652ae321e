"""Failures: the one table that says what comes next after a call, and what follows from it.

Data and pure functions. A code that is known decides; then a status that says "later"; then the type; then the status.
What Fuse's codes and types are is from its published SDKs; with which status each comes Fuse does not document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from schemas.structs import struct


class Step(StrEnum):
    """What comes next."""

    APPLIED = "applied"
    RETRY = "retry"
    DOWN = "down"
    MISCONFIGURED = "misconfigured"
    IGNORED = "ignored"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: what comes next, and why, for people."""

    step: Step
    because: str


@struct
class Answer:
    """An answer, as far as it decides: its status, and `type`, `code` and `source` of Fuse's error, if it has one."""

    status: int
    type: str | None = None
    code: str | None = None
    source: str | None = None


_LATER = Rule(Step.RETRY, "may work later")
_BUSY = Rule(Step.RETRY, "asks for calls at a lower rate")
_DOWN = Rule(Step.DOWN, "the destination itself does not work")
_AGGREGATOR = Rule(Step.RETRY, "the aggregator behind it does not work")
_KEYS = Rule(Step.MISCONFIGURED, "the tenant's keys or credentials are wrong or missing")
_TENANT = Rule(Step.MISCONFIGURED, "the tenant's organization is unknown")
_BODY = Rule(Step.DEAD, "the event can never be accepted as it is")
_NOT_FOUND = Rule(Step.DEAD, "what the event is about does not exist")
_NOTHING_LEFT = Rule(
    Step.IGNORED, "nothing is left to sync; the user has to connect again, and a new webhook will come"
)

NO_ANSWER = Rule(Step.DOWN, "no connection, no answer in time, or a broken one")

CODES: Mapping[str, Rule] = {
    "timeout": _DOWN,
    "internal_server_error": _DOWN,
    "other": _LATER,
    "aggregator_rate_limit_error": _BUSY,
    "aggregator_error": _AGGREGATOR,
    "aggregator_disconnected_error": _NOTHING_LEFT,
    "aggregator_connection_finished_error": _NOTHING_LEFT,
    "invalid_headers": _KEYS,
    "invalid_certificate": _KEYS,
    "invalid_private_key": _KEYS,
    "missing_*_header": _KEYS,
    "organization_not_found": _TENANT,
    "invalid_request_body": _BODY,
    "request_body_*": _BODY,
    "*_not_found": _NOT_FOUND,
}
"""By code; `*` stands for anything. The first that fits counts."""

LATER_STATUSES: Mapping[int, Rule] = {408: _LATER, 425: _LATER, 429: _BUSY}
"""Statuses that say "later", whatever the type beside them."""

TYPES: Mapping[str, Rule] = {
    "auth_error": _KEYS,
    "not_found": _NOT_FOUND,
    "bad_request": _BODY,
    "server_error": _LATER,
}

DONE = range(200, 300)
"""Statuses of what is applied, whatever the body says."""

STATUSES: Mapping[range, Rule] = {
    DONE: Rule(Step.APPLIED, "done"),
    range(100, 400): Rule(Step.RETRY, "not an answer of Fuse's; the base URL may be wrong"),
    range(401, 402): _KEYS,
    range(403, 404): _KEYS,
    range(404, 405): _NOT_FOUND,
    range(400, 500): _BODY,
    range(500, 600): _DOWN,
}
"""By status; the first range that holds it counts."""

_UNKNOWN = Rule(Step.RETRY, "not a status of HTTP")
_OVERRIDDEN = "by the setting FUSE_SYNC_FAILURES"
_SERVER_ERRORS = range(500, 600)


def decide(answer: Answer, overrides: Mapping[str, str]) -> Rule:
    """Decide what comes next. `overrides` map codes and statuses to steps, above the table."""
    if answer.status in DONE:
        return STATUSES[DONE]
    for name in (answer.code, str(answer.status)):
        if name is not None and name in overrides:
            return Rule(Step(overrides[name]), _OVERRIDDEN)
    rule = _by_code(answer.code) or LATER_STATUSES.get(answer.status) or TYPES.get(answer.type or "")
    return _counted(rule or _by_status(answer.status), answer)


def _by_code(code: str | None) -> Rule | None:
    if code is None:
        return None
    return CODES.get(code) or next((rule for name, rule in CODES.items() if fnmatchcase(code, name)), None)


def _by_status(status: int) -> Rule:
    return next((rule for statuses, rule in STATUSES.items() if status in statuses), _UNKNOWN)


def _counted(rule: Rule, answer: Answer) -> Rule:
    """Count a server error against the destination, unless it says that an aggregator behind it is what fails."""
    of_aggregator = answer.source == "aggregator" or rule in (_AGGREGATOR, _BUSY)
    if rule.step is Step.RETRY and answer.status in _SERVER_ERRORS and not of_aggregator:
        return _DOWN
    return Rule(Step.RETRY, rule.because) if rule.step is Step.DOWN and answer.source == "aggregator" else rule


def page() -> str:
    """Write the table in Markdown, for docs/failures.md."""
    return _PAGE.format(rows="\n".join(_rows()))


def _rows() -> Iterator[str]:
    yield _row("no answer", NO_ANSWER)
    for code, rule in CODES.items():
        yield _row(f"code `{code}`", rule)
    for status, rule in LATER_STATUSES.items():
        yield _row(f"status {status}", rule)
    for kind, rule in TYPES.items():
        yield _row(f"type `{kind}`", rule)
    for statuses, rule in STATUSES.items():
        single = len(statuses) == 1
        yield _row(f"status {statuses.start}" if single else f"status {statuses.start} to {statuses.stop - 1}", rule)
    yield _row("any other status", _UNKNOWN)


def _row(what: str, rule: Rule) -> str:
    return f"| {what} | {rule.step} | {rule.because} |"


_PAGE = """# Failures

What comes next after each answer. This page is generated from the code: `make docs`. The first row that fits decides,
from the top: a code that is known, then a status that says "later", then Fuse's type of error, then the status.
`FUSE_SYNC_FAILURES` puts codes and statuses of yours above the table, for example
`{{"aggregator_disconnected_error": "dead", "409": "retry"}}`; a status of 2xx is always applied.

| answer | step | because |
|---|---|---|
{rows}

A server error (5xx) that would be tried again counts as `down`, unless it says that its source is an aggregator.

| step | what happens |
|---|---|
| applied | The event has ended. If the answer is not JSON, that is counted, and logged once as `answer.odd`. |
| retry | Again in the lane: up to `FUSE_SYNC_RETRY_ATTEMPTS` calls within `FUSE_SYNC_RETRY_SECONDS`, waiting longer \
each time and never less than Retry-After. What would come later is parked, with its lane behind it, and called again \
from there: up to `FUSE_SYNC_PARKED_ATTEMPTS` times within `FUSE_SYNC_PARKED_SECONDS`, then it is dead. So it is at \
once if Retry-After asks for more time than that. |
| down | As retry, and counted against the destination: when too many calls fail so, the group holds, see `hold.md`. |
| misconfigured | No fault of the event. All of the tenant's events in that environment are parked, but for one in \
every `FUSE_SYNC_TENANT_PROBE_SECONDS`, which tries whether it works by now. Nothing is ever given up for that. The \
alarm `tenant.misconfigured` is raised; when a call is applied or judged for the event itself, or the tenants file \
changes, all go on in order. |
| ignored | The event has ended, with the code as the reason. |
| dead | To the dead letters at once, and the lane goes on. |

Any other exception of a handler is retried. Handlers of your own choose by what they raise, see `handlers.md`.
"""

"""The table of failures: each answer has one right next step, and the page says which."""

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.failures import CODES, STATUSES, TYPES, Answer, Step, decide, page
from consumer.handlers.fuse_answer import judge, read_answer
from consumer.handlers.http_client import Answered
from schemas.errors import DestinationDown, Misconfigured, Permanent, Retryable
from schemas.outcome import Applied, Ignored
from schemas.setting_types import STEPS

ROOT = Path(__file__).parents[2]
NAMES = ("missing_mx_api_key_header", "session_not_found", "request_body_missing", "brand_new")
WORDS = st.none() | st.sampled_from((*(code for code in CODES if "*" not in code), *TYPES, *NAMES))
JSON = st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda value: json.dumps(value).encode())
ANSWERS = st.builds(Answer, status=st.integers(100, 599), type=WORDS, code=WORDS, source=WORDS)


@pytest.mark.parametrize(
    ("status", "code", "step"),
    [
        *((504, code, Step.DOWN) for code in ("timeout", "internal_server_error")),
        *((502, code, Step.RETRY) for code in ("aggregator_error", "aggregator_rate_limit_error")),
        *((400, code, Step.RETRY) for code in ("other", "aggregator_error", "aggregator_rate_limit_error")),
        *((400, code, Step.MISCONFIGURED) for code in ("invalid_headers", "invalid_certificate")),
        *((400, code, Step.MISCONFIGURED) for code in ("invalid_private_key", "missing_plaid_secret_header")),
        (404, "organization_not_found", Step.MISCONFIGURED),
        *((500, code, Step.DEAD) for code in ("invalid_request_body", "request_body_missing")),
        *((400, code, Step.DEAD) for code in ("request_body_invalid_json", "entity_not_found", "session_not_found")),
        *((400, code, Step.IGNORED) for code in ("aggregator_disconnected_error",)),
        *((500, code, Step.IGNORED) for code in ("aggregator_connection_finished_error",)),
        (500, "other", Step.DOWN),
    ],
)
def test_a_known_code_decides(status: int, code: str, step: Step) -> None:
    """Whatever the status beside it, which Fuse does not document."""
    assert decide(Answer(status=status, code=code, type="bad_request"), {}).step is step


@pytest.mark.parametrize(
    ("status", "kind", "step"),
    [
        (401, "auth_error", Step.MISCONFIGURED),
        (400, "auth_error", Step.MISCONFIGURED),
        (400, "not_found", Step.DEAD),
        (500, "bad_request", Step.DEAD),
        (400, "server_error", Step.RETRY),
        (500, "server_error", Step.DOWN),
        (429, "bad_request", Step.RETRY),
        (408, "bad_request", Step.RETRY),
    ],
)
def test_an_unknown_code_goes_by_its_type_unless_the_status_says_later(status: int, kind: str, step: Step) -> None:
    """So a code that Fuse adds tomorrow is treated as its kind is."""
    assert decide(Answer(status=status, code="brand_new", type=kind), {}).step is step


@pytest.mark.parametrize(
    ("statuses", "step"),
    [
        ((200, 201, 299), Step.APPLIED),
        ((100, 301, 408, 425, 429, 999), Step.RETRY),
        ((401, 403), Step.MISCONFIGURED),
        ((400, 404, 409, 413, 418, 422, 499), Step.DEAD),
        ((500, 502, 503, 599), Step.DOWN),
    ],
)
def test_where_nothing_else_is_said_the_status_decides(statuses: tuple[int, ...], step: Step) -> None:
    """An answer of a proxy has no code."""
    assert {decide(Answer(status=status), {}).step for status in statuses} == {step}


@given(ANSWERS, st.sampled_from(STEPS))
def test_a_setting_stands_above_the_table_but_success_is_success(answer: Answer, step: str) -> None:
    """By code, or by status where the code is not set."""
    expected = Step.APPLIED if 200 <= answer.status < 300 else Step(step)
    if answer.code is not None:
        assert decide(answer, {answer.code: step, str(answer.status): "retry"}).step is expected
    assert decide(answer, {str(answer.status): step}).step is expected


@given(ANSWERS)
def test_what_an_aggregator_fails_at_never_counts_against_the_destination(answer: Answer) -> None:
    """Else one bank in trouble would hold back all others."""
    assert decide(
        Answer(status=answer.status, type=answer.type, code=answer.code, source="aggregator"), {}
    ).step is not (Step.DOWN)


KINDS = {
    Step.RETRY: Retryable,
    Step.DOWN: DestinationDown,
    Step.MISCONFIGURED: Misconfigured,
    Step.DEAD: Permanent,
}


@given(ANSWERS)
def test_each_step_is_what_the_engine_is_told(answer: Answer) -> None:
    """As a result, or as one of the errors of handlers."""
    step = decide(answer, {}).step
    body = orjson.dumps({"code": answer.code, "type": answer.type, "source": answer.source})
    answered = Answered(status=answer.status, retry_after="7", body=body)
    if step in KINDS:
        with pytest.raises((Retryable, Permanent)) as raised:
            judge(answered, {})
        error = raised.value
        assert isinstance(error, Retryable | Permanent)
        assert (type(error), error.status) == (KINDS[step], answer.status)
    elif step is Step.IGNORED:
        assert judge(answered, {}) == Ignored(reason=answer.code or "")
    else:
        assert judge(answered, {}) == Applied(status=answer.status)


@given(st.binary() | JSON)
def test_a_body_of_any_kind_is_read_without_an_error(body: bytes) -> None:
    """It may come from a proxy, or from somebody who means harm."""
    assert read_answer(502, body) == Answer(status=502)


@pytest.mark.parametrize("word", ["a" * 65, "with space", "käse", "", 7, None, ["timeout"], "line\nbreak"])
def test_only_words_are_taken_from_an_error(word: object) -> None:
    """What is repeated in logs and dead letters must not be whatever somebody sends (promise 10)."""
    assert read_answer(400, orjson.dumps({"code": word})) == Answer(status=400)


def test_the_statuses_leave_no_gap() -> None:
    """From 100 to 599."""
    assert all(any(status in statuses for statuses in STATUSES) for status in range(100, 600))


def test_the_page_is_what_the_code_says() -> None:
    """Run `make docs`."""
    assert (ROOT / "docs" / "failures.md").read_text(encoding="utf-8") == page()

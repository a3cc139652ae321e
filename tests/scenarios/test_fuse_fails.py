"""Fuse answers 500, or 429 with the time to come back, or not at all, or breaks the connection.

Each of these events is called again until it is synced, and its connection's later events wait for it.
"""

from collections.abc import Sequence

from sandbox.calls import Call, Ending
from sandbox.generator import Mix
from sandbox.plan import Answer, Hang, Plan, Reset, Rule
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Stage

SECONDS, DATE = "aggregator_rate_limit_error", "other"
"""The codes by which the two forms of Retry-After are told apart below."""
RETRY_AFTER = {SECONDS: 2, DATE: 1}
PLAN = Plan(
    delay=(0.0, 0.05),
    rules=(
        Rule(share=0.1, first_attempts=2, action=Answer(do="answer", status=500)),
        Rule(share=0.05, first_attempts=2, action=Answer(do="answer", status=429, code=SECONDS, retry_after=2)),
        Rule(
            share=0.05,
            first_attempts=2,
            action=Answer(do="answer", status=429, code=DATE, retry_after=1, retry_after_form="date"),
        ),
        Rule(share=0.03, first_attempts=1, action=Hang(do="hang")),
        Rule(share=0.05, first_attempts=1, action=Reset(do="reset")),
    ),
)


async def test_failed_calls_are_tried_again_in_order_and_never_sooner_than_asked(stage: Stage) -> None:
    """Defends promises 4 and 6. What took so long that its caller gave it up may have been synced all the same."""
    async with stage(members=1, plan=PLAN, session_timeout_seconds=10) as scenario:
        manifest = await scenario.send(1_500, Mix(connections=400, other_share=0))
        verdict = await scenario.verdict(manifest)
        calls = await scenario.calls()
        given_up = sum("TimeoutError" in str(line["error"]) for line in scenario.logged(LogEvent.EVENT_DELAYED))

    hung = sum(call.ending is Ending.HUNG for call in calls)
    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == 1_500
    assert verdict.repeated <= given_up - hung
    assert {call.status for call in calls} == {200, 429, 500, None}
    assert {call.ending for call in calls} >= {Ending.ANSWERED, Ending.HUNG, Ending.RESET}
    for code, asked in RETRY_AFTER.items():
        waits = waits_after(code, calls)
        assert len(waits) > 20
        assert min(waits) >= asked


def waits_after(code: str, calls: Sequence[Call]) -> list[float]:
    """Give the seconds from each answer with this error code to the next call for its event."""
    following = {(call.key, call.attempt): call.arrived for call in calls}
    refused = [call for call in calls if call.code == code and call.ended is not None]
    return [following[call.key, call.attempt + 1] - (call.ended or 0.0) for call in refused]

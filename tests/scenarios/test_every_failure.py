"""Fuse fails in every way that the table of failures knows, each at connections of its own, and each ends as it says.

One tenant's keys are wrong meanwhile: nobody else waits for that, and when they work again all of its events are
synced, in order and none given up.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sandbox.generator import Mix
from sandbox.judge import judge
from sandbox.manifest import AcceptedWebhook, Manifest
from sandbox.plan import Answer, Hang, Plan, Reset, Rule
from schemas.outcome import Ended
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage, until

MISCONFIGURED = "borealis"
DOWN = Answer(do="answer", status=503)


def answer(status: int, code: str | None = None, kind: str | None = None, retry_after: int | None = None) -> Answer:
    """Answer so."""
    return Answer(do="answer", status=status, code=code, type=kind, retry_after=retry_after)


FAILURES: Mapping[str, tuple[Rule, tuple[str, str | None]]] = {
    "0": (Rule(connection="0*", action=DOWN), ("dead", "budget_spent")),
    "1": (Rule(connection="1*", action=answer(422)), ("dead", "permanent")),
    "2": (Rule(connection="2*", action=answer(404)), ("dead", "permanent")),
    "3": (Rule(connection="3*", action=answer(413)), ("dead", "permanent")),
    "4": (Rule(connection="4*", action=answer(500, "request_body_missing")), ("dead", "permanent")),
    "5": (
        Rule(connection="5*", action=answer(400, "aggregator_disconnected_error")),
        ("ignored", "aggregator_disconnected_error"),
    ),
    "6": (
        Rule(connection="6*", action=answer(502, "aggregator_connection_finished_error")),
        ("ignored", "aggregator_connection_finished_error"),
    ),
    "7": (Rule(connection="7*", first_attempts=1, action=answer(429, retry_after=1)), ("applied", None)),
    "8": (Rule(connection="8*", first_attempts=1, action=answer(409, "brand_new", "server_error")), ("applied", None)),
    "9": (Rule(connection="9*", first_attempts=1, action=Hang(do="hang")), ("applied", None)),
    "a": (Rule(connection="a*", first_attempts=1, action=Reset(do="reset")), ("applied", None)),
    "b": (Rule(connection="b*", first_attempts=1, action=answer(400, "other")), ("applied", None)),
}
"""By the first digit of the connection: what happens to its calls, and how its events end."""
RULES = tuple(rule for rule, _ in FAILURES.values())
WRONG_KEYS = Rule(tenant=MISCONFIGURED, action=answer(401))
GIVEN: dict[str, Any] = {
    "retry_attempts": 3,
    "parked_initial_seconds": 0.2,
    "parked_max_seconds": 0.5,
    "parked_attempts": 3,
    "tenant_probe_seconds": 1,
    "call_timeout_seconds": 1,
    "supersede": False,
}


async def test_each_failure_ends_as_the_table_says_and_wrong_keys_cost_a_tenant_nothing_but_time(stage: Stage) -> None:
    """Defends promises 4, 5, 6 and 11."""
    async with stage(members=2, plan=Plan(delay=0.01, rules=(WRONG_KEYS, *RULES)), **GIVEN) as scenario:
        manifest = await scenario.send(200, Mix(connections=100, other_share=0))
        waiting = {event.id for event in manifest.accepted if event.tenant == MISCONFIGURED}
        await scenario.ended({event.id for event in manifest.accepted} - waiting)
        await until(lambda: alarmed(scenario), 30, scenario.pipeline.check)
        before = endings(scenario)
        await scenario.inquiry.follow(Plan(delay=0.01, rules=RULES))
        await scenario.ended(waiting)
        after = endings(scenario)
        calls = await scenario.calls()
        alarms = scenario.logged(LogEvent.TENANT_MISCONFIGURED)

    assert waiting
    assert not waiting & before.keys(), "an event ended although its tenant's keys were wrong"
    for event in manifest.accepted:
        assert after[event.id] == expected(event), event
    assert {alarm["tenant"] for alarm in alarms} == {MISCONFIGURED}
    assert len(alarms) < len(waiting) / 4, "an alarm is raised on change, and not for each event"
    assert judge(synced(manifest), [call for call in calls if call.connection[0] not in "0123456"]).kept


def expected(event: AcceptedWebhook) -> tuple[str, str | None]:
    """Say how an event has to end."""
    first = event.connection[0]
    return FAILURES[first][1] if first in FAILURES else ("applied", None)


def endings(scenario: Scenario) -> dict[str, tuple[str, str | None]]:
    """Read how each event ended: the same however often, should its member have ended it twice."""
    found: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for log in scenario.outcomes().values():
        for record in log:
            if isinstance(record, Ended):
                found[record.id].add((record.outcome, record.reason))
    assert all(len(ways) == 1 for ways in found.values())
    return {name: next(iter(ways)) for name, ways in found.items()}


def synced(manifest: Manifest) -> Manifest:
    """Give what was sent for the connections that are synced in the end."""
    kept = tuple(event for event in manifest.accepted if event.connection[0] not in "0123456")
    return manifest.model_copy(update={"accepted": kept})


async def alarmed(scenario: Scenario) -> bool:
    """Say whether the tenant's alarm has been raised."""
    return bool(scenario.logged(LogEvent.TENANT_MISCONFIGURED))

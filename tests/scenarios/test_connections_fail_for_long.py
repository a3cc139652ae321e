"""Fuse fails one connection in eight, and goes on doing so long after an event's patience in its lane is at its end.

What fails is parked with everything behind it, the others go on, and a member is killed meanwhile: what was parked is
in the log, and its successor calls it in its turn. When Fuse has recovered, everything has been synced in order.
"""

from typing import Any

from sandbox.generator import Mix
from sandbox.plan import Answer, Plan, Rule
from sandbox.sender import Pace
from schemas.parked import Park, read_note
from schemas.telemetry import LogEvent
from schemas.topics import group_topics
from tests.scenarios.conftest import Scenario, Stage

FAILING = "[01]*"
EVENTS = 1_000
MIX = Mix(connections=300, other_share=0.05)
OUT, WELL = (
    Plan(delay=0.04, rules=(Rule(connection=FAILING, action=Answer(do="answer", status=500)),)),
    Plan(delay=0.04),
)
IMPATIENT: dict[str, Any] = {
    "retry_attempts": 2,
    "retry_seconds": 1,
    "parked_initial_seconds": 0.5,
    "parked_max_seconds": 2,
}


async def test_what_keeps_failing_is_parked_in_order_survives_a_kill_and_delays_nobody(stage: Stage) -> None:
    """Defends promises 4, 5, 6 and 8."""
    async with stage(members=2, plan=OUT, **IMPATIENT) as scenario:
        manifest = await scenario.send(EVENTS, MIX, Pace(rate=150))
        healthy = {event.id for event in manifest.accepted if event.connection[0] not in "01"}
        await scenario.ended(healthy)
        await scenario.settled()
        killed, _ = scenario.pipeline.members
        killed.child.kill()
        scenario.pipeline.join()
        await scenario.pipeline.shared()
        await scenario.inquiry.follow(WELL)
        verdict = await scenario.verdict(manifest)
        failed = scenario.logged(LogEvent.EVENT_FAILED)
        parked = [read_note(record)[0] for log in scenario.read(parked_topic(scenario)).values() for record in log]

    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == verdict.accepted - verdict.ignored
    assert {line["then"] for line in failed} == {"parked"}
    assert {note.reason for note in parked if isinstance(note, Park)} == {"failed", "behind"}


def parked_topic(scenario: Scenario) -> str:
    """Name the group's parked topic."""
    return group_topics(scenario.topic, "sync").parked

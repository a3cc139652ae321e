"""Fuse never accepts anything for one connection in sixteen. Patience ends, and so must the events.

Each becomes a dead letter with everything needed to understand it, its outcome says so, and its lane goes on.
"""

import json
from typing import Any

from sandbox.calls import Call
from sandbox.generator import Mix
from sandbox.judge import judge
from sandbox.manifest import Manifest
from sandbox.plan import Answer, Plan, Rule
from schemas.dead import HEADER, DeadLetter
from schemas.outcome import Ended
from schemas.record import ReceivedRecord
from schemas.telemetry import LogEvent
from schemas.topics import group_topics
from tests.scenarios.conftest import Stage

PLAN = Plan(delay=0.01, rules=(Rule(connection="0*", action=Answer(do="answer", status=503)),))
MIX = Mix(connections=200, other_share=0)
IMPATIENT: dict[str, Any] = {
    "retry_attempts": 1,
    "parked_initial_seconds": 0.2,
    "parked_max_seconds": 0.5,
    "parked_attempts": 2,
    "supersede": False,
}
DOWN = "answered 503 internal_server_error: the destination itself does not work"
ATTEMPTS = {2, 3}
"""Two turns; and before them one in the lane, for those that did not wait behind another."""


async def test_what_never_works_becomes_a_dead_letter_and_its_lane_goes_on(stage: Stage) -> None:
    """Defends promises 4, 5 and 6."""
    async with stage(members=2, plan=PLAN, **IMPATIENT) as scenario:
        manifest = await scenario.send(1_000, MIX)
        await scenario.ended({event.id for event in manifest.accepted})
        source = scenario.read(scenario.topic)
        letters = scenario.read(group_topics(scenario.topic, "sync").dead)
        outcomes = [record for log in scenario.outcomes().values() for record in log if isinstance(record, Ended)]
        calls = await scenario.calls()
        written = scenario.logged(LogEvent.DEAD_WRITTEN)

    failing = {event.id for event in manifest.accepted if event.connection.startswith("0")}
    dead = {outcome.id: outcome for outcome in outcomes if outcome.outcome == "dead"}
    assert set(dead) == failing
    assert len(failing) > 20
    assert {(outcome.reason, outcome.attempts, outcome.status) for outcome in dead.values()} == {
        ("budget_spent", attempts, 503) for attempts in ATTEMPTS
    }
    assert sum(len(records) for records in letters.values()) == len(failing)
    assert 0 < len(written) < len(failing)  # the first in a minute: nobody is flooded
    for partition, records in letters.items():
        for letter in records:
            assert_understandable(letter, source[partition])
    assert judge(healthy(manifest), [call for call in calls if not call.connection.startswith("0")]).kept
    assert in_order(calls, [event.id for event in manifest.accepted if event.id in failing])


def assert_understandable(letter: ReceivedRecord, source: list[ReceivedRecord]) -> None:
    """Check that a letter holds its record as it was, and says where that came from and why it is here."""
    name, note = letter.headers[-1]
    assert name == HEADER
    why = DeadLetter(**json.loads(note or b""))
    original = source[why.offset]
    assert (letter.key, letter.value) == (original.key, original.value)
    assert sorted(letter.headers[:-1]) == sorted(original.headers)
    assert why.attempts in ATTEMPTS
    assert (why.reason, why.error) == ("budget_spent", DOWN)


def healthy(manifest: Manifest) -> Manifest:
    """Give what was sent for the other connections."""
    return manifest.model_copy(
        update={"accepted": tuple(event for event in manifest.accepted if not event.connection.startswith("0"))}
    )


def in_order(calls: list[Call], accepted: list[str]) -> bool:
    """Say whether each failing connection's events were called one after the other, in the order of acceptance."""
    place = {event: number for number, event in enumerate(accepted)}
    lanes: dict[tuple[str, str], list[int]] = {}
    for call in sorted(calls, key=lambda call: call.arrived):
        if call.event in place:
            lanes.setdefault(call.lane, []).append(place[call.event])
    return all(lane == sorted(lane) for lane in lanes.values())

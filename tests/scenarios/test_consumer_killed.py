"""Consumers die without a word or stand still, at moments that nobody chose, and each time somebody else goes on.

What a dead member had finished is in the outcomes log or not; its successors may repeat what is not there, and nothing
else. One that wakes up finds that its partitions are gone. Some calls take long, so that the committed frontier is far
behind what has ended at any moment. `make kills` does it at fifty moments, among 25,000 events.
"""

import asyncio
import signal
import sys
from random import Random

import pytest

from sandbox.generator import Mix
from sandbox.plan import Late, Plan, Rule
from sandbox.sender import Pace
from tests.conftest import Cluster
from tests.scenarios.conftest import SESSION_SECONDS, Scenario, Stage, handled_although_known

EVENTS_PER_MOMENT = 500
SECONDS_PER_MOMENT = 4.5
BETWEEN_SECONDS = (2.0, 5.0)
ASLEEP_SECONDS = (0.5 * SESSION_SECONDS, 2.0 * SESSION_SECONDS)
SLEEPERS = 0.3
IN_FLIGHT = 100
PLAN = Plan(delay=(0.04, 0.1), rules=(Rule(share=0.02, action=Late(do="late", delay=1.5)),))
MIX = Mix(connections=2_000, other_share=0)


@pytest.mark.timeout(900)  # a minute for each ten moments, on two idle cores
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_killed_and_frozen_consumers_lose_nothing_and_repeat_only_what_was_in_flight(
    cluster: Cluster, stage: Stage, protocol: str, moments: int
) -> None:
    """Defends promises 1, 4, 5 and 8."""
    if protocol == "consumer" and not cluster.quick_groups:
        pytest.skip("with the consumer protocol this cluster takes steps of seconds, and another session timeout")
    events = moments * EVENTS_PER_MOMENT
    async with stage(members=3, plan=PLAN, max_in_flight=IN_FLIGHT, group_protocol=protocol) as scenario:
        pace = Pace(rate=EVENTS_PER_MOMENT / SECONDS_PER_MOMENT)
        sending = asyncio.create_task(scenario.send(events, MIX, pace))
        await strike_at_random(scenario, moments, Random(3))
        verdict = await scenario.verdict(await sending)
        logs = scenario.outcomes().values()

    sys.stdout.write(f"{protocol}: {verdict.repeated} calls repeated after {moments} kills and freezes\n")
    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == events
    assert verdict.repeated <= moments * IN_FLIGHT
    assert [story for log in logs for story in handled_although_known(log)] == []


async def strike_at_random(scenario: Scenario, moments: int, rng: Random) -> None:
    """Kill a running member and start another, or freeze one for a while, again and again."""
    for _ in range(moments):
        await asyncio.sleep(rng.uniform(*BETWEEN_SECONDS))  # the moment is the scenario: nothing to wait for
        child = rng.choice(scenario.pipeline.running).child
        if rng.random() < SLEEPERS:
            child.send(signal.SIGSTOP)
            await asyncio.sleep(rng.uniform(*ASLEEP_SECONDS))  # likewise
            child.send(signal.SIGCONT)
        else:
            child.kill()
            scenario.pipeline.join()
    await scenario.pipeline.shared()  # else who came last could be stopped before it can hear of it

"""Consumers die without a word, ten times, at moments that nobody chose, and each time a new one is started.

What a dead member had finished is in the outcomes log or not; its successors may repeat what is not there, and nothing
else. Some calls take long, so that the committed frontier is far behind what has ended at any moment.
"""

import asyncio
import sys
from random import Random

import pytest

from sandbox.generator import Mix
from sandbox.plan import Late, Plan, Rule
from sandbox.sender import Pace
from tests.scenarios.conftest import Scenario, Stage, handled_although_known

EVENTS = 20_000
KILLS = 10
BETWEEN_SECONDS = (2.5, 5.5)
IN_FLIGHT = 200
PLAN = Plan(delay=(0.02, 0.05), rules=(Rule(share=0.01, action=Late(do="late", delay=1.5)),))
MIX = Mix(connections=2_000, other_share=0)


@pytest.mark.timeout(240)  # some 60 s on two idle cores
async def test_killed_consumers_lose_nothing_and_repeat_only_what_was_in_flight(stage: Stage) -> None:
    """Defends promises 1, 4, 5 and 8."""
    async with stage(members=2, plan=PLAN, max_in_flight=IN_FLIGHT) as scenario:
        sending = asyncio.create_task(scenario.send(EVENTS, MIX, Pace(rate=EVENTS / 48)))
        await kill_at_random(scenario, Random(3))
        verdict = await scenario.verdict(await sending)
        logs = scenario.outcomes().values()

    sys.stdout.write(f"{verdict.repeated} calls repeated after {KILLS} kills\n")
    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == EVENTS
    assert verdict.repeated <= KILLS * IN_FLIGHT
    assert [record for log in logs for record in handled_although_known(log)] == []


async def kill_at_random(scenario: Scenario, rng: Random) -> None:
    """Kill a running member and start another, again and again."""
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(*BETWEEN_SECONDS))  # the moment is the scenario: nothing to wait for
        rng.choice(scenario.pipeline.running).child.kill()
        scenario.pipeline.join()

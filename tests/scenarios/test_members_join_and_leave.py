"""A rolling restart under load: new members come, old ones are asked to leave and hand over what they hold."""

import asyncio
from typing import Any

from sandbox.generator import Mix
from sandbox.plan import Plan
from sandbox.sender import Pace
from tests.scenarios.conftest import PATIENT_SECONDS, Stage

MIX = Mix(connections=500, other_share=0.05)


async def test_members_come_and_go_and_not_even_one_call_is_repeated(stage: Stage) -> None:
    """Defends promises 4, 5 and 7: who leaves in order leaves nothing behind."""
    given: dict[str, Any] = {"max_in_flight": 100, "session_timeout_seconds": PATIENT_SECONDS}
    async with stage(members=1, plan=Plan(delay=(0.04, 0.4)), **given) as scenario:
        rolled = asyncio.Event()
        sending = asyncio.create_task(scenario.send_while(lambda: not rolled.is_set(), MIX, Pace(rate=120)))
        await scenario.synced(150)
        for _ in range(3):
            oldest = scenario.pipeline.running[0]
            scenario.pipeline.join()
            await scenario.pipeline.shared()
            await scenario.stop(oldest)
            await scenario.pipeline.shared()
        rolled.set()
        verdict = await scenario.verdict(await sending)

    assert verdict.kept, verdict
    assert verdict.repeated == 0

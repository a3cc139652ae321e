"""A member stands still for longer than the session timeout, and wakes up full of work that is no longer its own.

So does a process whose machine swaps or is moved. Kafka gives its partitions to the other member meanwhile, and what
the sleeper had read it may not call any more: its lease has run out. What no lease can prevent is a request that was on
its way when the sleeper froze; calls are short here, so that those have long ended.
"""

import asyncio
import signal
import time
from collections.abc import Sequence

from sandbox.calls import Call
from sandbox.generator import Mix
from sandbox.plan import Plan
from sandbox.sender import Pace
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Stage, until

LANES = 30
MIX = Mix(connections=LANES, other_share=0)
QUICK, SLOW = Plan(delay=(0.01, 0.05)), Plan(delay=1.0)
"""Slow calls make every lane busy, with events waiting behind: work for whoever wakes up."""
CALL_TIMEOUT_SECONDS = 30
"""Longer than the sleep: so the answers that came meanwhile count, and the next of each lane would be started."""


async def test_a_frozen_member_wakes_up_and_calls_nothing_that_others_own_now(stage: Stage) -> None:
    """Defends promises 4 and 5, by the lease and by the claims of a takeover."""
    async with stage(members=2, plan=QUICK, call_timeout_seconds=CALL_TIMEOUT_SECONDS) as scenario:
        sleeper, other = scenario.pipeline.members
        settled_down = asyncio.Event()
        sending = asyncio.create_task(scenario.send_while(lambda: not settled_down.is_set(), MIX, Pace(rate=110)))
        await scenario.synced(100)

        async def nearly_all_lanes_busy() -> bool:
            return (await scenario.inquiry.summary()).open > 0.8 * LANES

        async def taken_over() -> bool:
            return len(other.partitions) == scenario.pipeline.partitions

        await scenario.inquiry.follow(SLOW)
        await until(nearly_all_lanes_busy, 30, scenario.pipeline.check)
        sleeper.child.send(signal.SIGSTOP)
        await scenario.inquiry.follow(QUICK)
        await until(taken_over, 30, scenario.pipeline.check)
        synced = (await scenario.inquiry.summary()).synced
        await scenario.synced(synced + 100)
        woken = time.monotonic()
        sleeper.child.send(signal.SIGCONT)
        await scenario.pipeline.shared()
        settled_down.set()
        verdict = await scenario.verdict(await sending)
        late = called_although_done(await scenario.calls(), woken)
        lost = scenario.logged(LogEvent.PARTITION_LOST)

    assert verdict.kept, verdict
    assert late == []
    assert lost, "the sleeper never heard that its partitions were gone"


def called_although_done(calls: Sequence[Call], since: float) -> list[Call]:
    """Find calls from then on for events that had succeeded before; both clocks are this machine's."""
    done = {call.key for call in calls if call.synced and (call.ended or since) < since}
    return [call for call in calls if call.arrived >= since and call.key in done]

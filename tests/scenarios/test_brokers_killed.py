"""The brokers of a cluster of three die one after another under load, and come back.

Any two carry on: `min.insync.replicas` is two. What a broker led, coordinated or was being sent moves to the others,
and the members take partitions over meanwhile, without being restarted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from broker.embedded import EmbeddedKafka
from sandbox.calls import Call
from sandbox.generator import Mix
from sandbox.plan import Plan
from sandbox.sender import Pace
from tests.scenarios.conftest import Scenario, Stage, handled_although_known

ORDER = (1, 2, 0)
DOWN_SECONDS = 5.0
"""Longer than the four seconds after which the cluster gives a broker's partitions to others."""
MIX = Mix(connections=400, other_share=0)
PLAN = Plan(delay=(0.05, 0.15))
PACE = Pace(rate=60, attempts=100, longest_wait=1.0)
SETTINGS = {"session_timeout_seconds": 6, "max_in_flight": 100}
"""A session lasts longer than the four seconds until a dead coordinator has a successor."""
SYNCED_WITHIN = 30.0
MARGIN = 5.0
"""Seconds round an outage within which a success excuses its repeat: until its outcome is in the log. On a busy machine
a member hears of its answer later than Fuse gave it; whether an outcome was in the log is checked exactly besides."""

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("embeddable")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """When a broker was dead, in seconds of the monotonic clock, which is that of the fake Fuse too."""

    began: float
    ended: float


@asynccontextmanager
async def dead(kafka: EmbeddedKafka, node: int, outages: list[Outage]) -> AsyncIterator[None]:
    """Kill a node, start it again at the end, and note the outage."""
    began = time.monotonic()
    await kafka.stop_node(node, graceful=False)
    try:
        yield
    finally:
        await kafka.start_node(node)
        outages.append(Outage(began=began, ended=time.monotonic()))


def repeated_without_need(calls: Sequence[Call], outages: Sequence[Outage]) -> list[Call]:
    """Find calls for events that had succeeded when every outcome could be written at once."""
    success: dict[str, float] = {}
    unexcused = []
    for call in sorted(calls, key=lambda call: call.arrived):
        done = success.get(call.key)
        if done is not None and not any(each.began - MARGIN <= done <= each.ended + MARGIN for each in outages):
            unexcused.append(call)
        if call.synced and call.ended is not None:
            success.setdefault(call.key, call.ended)
    return unexcused


async def goes_on(scenario: Scenario) -> None:
    """Wait until more events have been synced than now, by far."""
    await scenario.synced((await scenario.inquiry.summary()).synced + 60)


async def test_brokers_that_die_one_after_another_cost_nothing_but_time(stage: Stage) -> None:
    """Defends promises 1, 4, 5 and 8."""
    events, outages = 1_800, list[Outage]()
    async with (
        EmbeddedKafka(nodes=3) as kafka,
        stage(members=2, servers=kafka.bootstrap_servers, plan=PLAN, **SETTINGS) as scenario,
    ):
        sending = asyncio.create_task(scenario.send(events, MIX, PACE))
        await goes_on(scenario)
        for node in ORDER:
            async with dead(kafka, node, outages):
                await asyncio.sleep(DOWN_SECONDS)  # the outage is the scenario: nothing to wait for
        manifest = await sending
        async with asyncio.timeout(SYNCED_WITHIN):
            await scenario.settled()
        verdict = await scenario.verdict(manifest)
        unexcused = repeated_without_need(await scenario.calls(), outages)
        logs = scenario.outcomes().values()

    assert set(manifest.answers) <= {"200", "503"}
    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == events
    assert unexcused == []
    assert [story for log in logs for story in handled_although_known(log)] == []


async def test_members_take_over_from_each_other_while_a_broker_stays_dead(stage: Stage) -> None:
    """Defends promises 4 and 5: whoever takes over asks brokers for logs that it has never read."""
    events, outages = 900, list[Outage]()
    async with (
        EmbeddedKafka(nodes=3) as kafka,
        stage(members=2, servers=kafka.bootstrap_servers, plan=PLAN, **SETTINGS) as scenario,
    ):
        sending = asyncio.create_task(scenario.send(events, MIX, PACE))
        await goes_on(scenario)
        async with dead(kafka, 0, outages):
            scenario.pipeline.members[0].child.kill()
            scenario.pipeline.join()
            await scenario.pipeline.shared()
            manifest = await sending
            async with asyncio.timeout(SYNCED_WITHIN):
                await scenario.settled()
        verdict = await scenario.verdict(manifest)
        unexcused = repeated_without_need(await scenario.calls(), outages)
        logs = scenario.outcomes().values()

    assert verdict.kept, verdict
    assert verdict.synced + verdict.superseded == events
    assert unexcused == []
    assert [story for log in logs for story in handled_although_known(log)] == []

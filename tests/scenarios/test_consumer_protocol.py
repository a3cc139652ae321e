"""Members under the consumer protocol (KIP-848): one comes, one leaves, one is killed, one freezes and wakes up.

Here Kafka moves partition by partition and never stops the whole group, commits are refused with other errors, and the
session timeout is the cluster's. What members owe to whoever has their partitions next is the same.
"""

import asyncio
import signal
import time
from collections.abc import Sequence

import pytest

from sandbox.calls import Call
from sandbox.demo.member import Member
from sandbox.sender import Pace
from schemas.telemetry import LogEvent
from tests.conftest import Cluster
from tests.scenarios.conftest import Scenario, Stage, until
from tests.scenarios.test_member_frozen import CALL_TIMEOUT_SECONDS, LANES, MIX, QUICK, SLOW, called_although_done


async def test_members_come_go_die_and_freeze_and_everything_is_synced_in_order(cluster: Cluster, stage: Stage) -> None:
    """Defends promises 4, 5, 7 and 8 under the other protocol."""
    if not cluster.quick_groups:
        pytest.skip("with the consumer protocol this cluster takes steps of seconds, and another session timeout")
    given = stage(members=1, plan=QUICK, group_protocol="consumer", call_timeout_seconds=CALL_TIMEOUT_SECONDS)
    async with given as scenario:
        over = asyncio.Event()
        sending = asyncio.create_task(scenario.send_while(lambda: not over.is_set(), MIX, Pace(rate=110)))
        await one_comes_and_one_leaves(scenario)
        repeated_in_order = len(repeats(await scenario.calls()))
        await one_is_killed(scenario)
        woken = await one_sleeps_and_wakes(scenario)
        over.set()
        verdict = await scenario.verdict(await sending)
        late = called_although_done(await scenario.calls(), woken)
        lost = scenario.logged(LogEvent.PARTITION_LOST)

    assert verdict.kept, verdict
    assert repeated_in_order == 0, "who leaves in order leaves nothing behind"
    assert late == []
    assert lost, "the sleeper never heard that its partitions were gone"


async def one_comes_and_one_leaves(scenario: Scenario) -> None:
    """Replace the only member while webhooks come."""
    await scenario.synced(100)
    (oldest,) = scenario.pipeline.running
    scenario.pipeline.join()
    await scenario.pipeline.shared()
    await scenario.stop(oldest)
    await scenario.pipeline.shared()


async def one_is_killed(scenario: Scenario) -> None:
    """Kill one of two, and start another before Kafka has noticed."""
    scenario.pipeline.join()
    await scenario.pipeline.shared()
    scenario.pipeline.running[0].child.kill()
    scenario.pipeline.join()
    await scenario.pipeline.shared()


async def one_sleeps_and_wakes(scenario: Scenario) -> float:
    """Freeze one of two, with its lanes busy, until the other has all and works on; give the time it woke up."""
    sleeper, other = scenario.pipeline.running
    await scenario.inquiry.follow(SLOW)
    await until(lambda: nearly_all_lanes_busy(scenario), 30, scenario.pipeline.check)
    sleeper.child.send(signal.SIGSTOP)
    await scenario.inquiry.follow(QUICK)
    await until(lambda: holds_all(scenario, other), 30, scenario.pipeline.check)
    await scenario.synced((await scenario.inquiry.summary()).synced + 100)
    woken = time.monotonic()
    sleeper.child.send(signal.SIGCONT)
    await scenario.pipeline.shared()
    return woken


async def nearly_all_lanes_busy(scenario: Scenario) -> bool:
    """Say whether whoever freezes now has calls in flight, with events waiting behind."""
    return (await scenario.inquiry.summary()).open > 0.8 * LANES


async def holds_all(scenario: Scenario, member: Member) -> bool:
    """Say whether a member holds every partition."""
    return len(member.partitions) == scenario.pipeline.partitions


def repeats(calls: Sequence[Call]) -> list[Call]:
    """Find the calls for events that had been called with success before."""
    done: set[str] = set()
    again = []
    for call in sorted(calls, key=lambda call: call.arrived):
        if call.key in done:
            again.append(call)
        if call.synced:
            done.add(call.key)
    return again

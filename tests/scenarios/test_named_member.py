"""A member with a name of its own (static membership) restarts, and later somebody starts another of the same name.

The restart moves no partition: the group waits for the name to come back. The second process of the name takes over
from the first at once, as the classic protocol has it, and the first has to end instead of standing there in silence.
Until it notices, its calls and those of the second may overlap: the group evicted it without waiting for anything.
"""

import asyncio

from sandbox.demo.member import Member
from sandbox.generator import Mix
from sandbox.plan import Plan
from sandbox.sender import Pace
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage

MIX = Mix(connections=300, other_share=0)
NAME = "member-a"
SESSION_SECONDS = 10
"""So long may the restart take, on a busy machine."""
ENDS_WITHIN = 20.0
MOVES = (LogEvent.PARTITION_ASSIGNED, LogEvent.PARTITION_RELEASED, LogEvent.PARTITION_LOST)


async def test_a_named_member_restarts_without_a_rebalance_and_a_second_of_its_name_ends_it(stage: Stage) -> None:
    """Defends promises 6 and 7: whoever has the name, nothing is lost."""
    async with stage(members=1, plan=Plan(delay=(0.01, 0.05)), session_timeout_seconds=SESSION_SECONDS) as scenario:
        (bystander,) = scenario.pipeline.running
        named = scenario.pipeline.join(group_instance_id=NAME)
        await scenario.pipeline.shared()
        over = asyncio.Event()
        sending = asyncio.create_task(scenario.send_while(lambda: not over.is_set(), MIX, Pace(rate=80)))
        await scenario.synced(60)
        held, moves = named.partitions, moved(scenario, bystander)
        await scenario.stop(named)
        back = scenario.pipeline.join(group_instance_id=NAME)
        await scenario.pipeline.shared()
        kept = (back.partitions, moved(scenario, bystander))

        back.child.expected_to_end = True
        scenario.pipeline.join(group_instance_id=NAME)
        status = await back.child.ended(ENDS_WITHIN)
        await scenario.pipeline.shared()
        over.set()
        verdict = await scenario.verdict(await sending)
        failures = [line["error"] for line in scenario.logged(LogEvent.MEMBER_FAILED)]

    assert kept == (held, moves)
    assert status == 1
    assert len(failures) == 1
    assert f"FUSE_SYNC_GROUP_INSTANCE_ID: {NAME} is the name of another process now" in str(failures[0])
    assert (verdict.lost, verdict.altered, verdict.unexpected) == (0, 0, 0), verdict


def moved(scenario: Scenario, member: Member) -> int:
    """Count how often a member got a partition or let one go."""
    return sum(line.get("event") in MOVES for line in scenario.pipeline.log(member.name))

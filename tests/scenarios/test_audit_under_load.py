"""Audits while everything runs: webhooks come in, connections fail, are parked again and again, and a member is killed.

The parked log is cut as short as may be, so that its owners write again and delete what an audit is about to read.
None of the audits may raise a false alarm, and when all is over the last one proves every event.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from consumer.audit import Report, audit
from sandbox.generator import Mix
from sandbox.plan import Answer, Plan, Rule
from sandbox.sender import Pace
from tests.consumer.fakes import settings
from tests.scenarios.conftest import Scenario, Stage

EVENTS = 600
MIX = Mix(connections=200, other_share=0.05)
SLOW = (0.2, 1.5)
"""Seconds that a call takes: long enough for the frontier to pass events while an audit reads."""
OUT, WELL = (
    Plan(delay=SLOW, rules=(Rule(connection="[01]*", action=Answer(do="answer", status=500)),)),
    Plan(delay=0.02),
)
BUSY: dict[str, Any] = {
    "retry_attempts": 1,
    "parked_initial_seconds": 0.2,
    "parked_max_seconds": 0.5,
    "parked_log_span": 100,
    "commit_interval_seconds": 0.1,
}


async def test_audits_under_load_raise_no_false_alarm_and_the_last_one_proves_every_event(stage: Stage) -> None:
    """Defends promise 6."""
    async with stage(members=2, plan=OUT, **BUSY) as scenario:
        sending = asyncio.create_task(scenario.send(EVENTS, MIX, Pace(rate=300)))
        before = await audits_until(scenario, sending.done)
        scenario.pipeline.members[0].child.kill()
        scenario.pipeline.join()
        recovering = asyncio.create_task(recover(scenario))
        after = await audits_until(scenario, recovering.done)
        await recovering
        manifest = await sending
        await scenario.ended({event.id for event in manifest.accepted})
        last = await audited(scenario)

    assert [report.named for report in [*before, *after] if not report.proven] == []
    assert max(report.counts.parked for report in before) > 0
    ended = last.counts.applied + last.counts.superseded + last.counts.ignored
    assert (last.counts.events, ended, last.proven) == (len(manifest.accepted), len(manifest.accepted), True)


async def audits_until(scenario: Scenario, over: Callable[[], bool]) -> list[Report]:
    """Audit again and again, once at least, until something is over."""
    reports = [await audited(scenario)]
    while not over():
        scenario.pipeline.check()
        reports.append(await audited(scenario))
    return reports


async def audited(scenario: Scenario) -> Report:
    """Audit."""
    asked = settings(kafka_bootstrap_servers=scenario.servers, topic=scenario.topic)
    return await asyncio.to_thread(audit, asked)


async def recover(scenario: Scenario) -> None:
    """Let the new member take over, and Fuse recover."""
    await scenario.pipeline.shared()
    await scenario.inquiry.follow(WELL)
    await scenario.settled()

"""The source gets more partitions while its group has a backlog, and something of it is parked.

Nobody thinks of stopping the member first, so it has to end by itself. Then the ingress writes events of the
same connections in their new places, and members that drain see to it that the old ones end before. One of them is
killed meanwhile.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Any

from confluent_kafka.admin import NewPartitions

from broker.partitioner import partition_of
from sandbox.generator import Mix
from sandbox.manifest import AcceptedWebhook, Manifest
from sandbox.plan import Answer, Plan, Rule
from sandbox.sender import Pace, send
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage, until, webhooks

BEFORE, AFTER = 3, 5
DRAINING = "--repartitioned"
FAILING = "0123"
MIX = Mix(connections=60, other_share=0)
OLD, NEW = 500, 200
DELAY = (0.02, 0.1)
OUT, WELL = (
    Plan(delay=DELAY, rules=(Rule(connection=f"[{FAILING}]*", action=Answer(do="answer", status=500)),)),
    Plan(delay=DELAY),
)
SLOW_AND_IMPATIENT: dict[str, Any] = {
    "max_in_flight": 10,
    "supersede": False,
    "retry_attempts": 1,
    "retry_seconds": 1,
    "parked_initial_seconds": 0.5,
    "parked_max_seconds": 1,
}
WITHIN = 30.0


async def test_what_was_written_before_ends_before_anything_that_was_moved_begins(stage: Stage) -> None:
    """Defends promises 4 and 6: in the order of each connection, although its events lie in two partitions."""
    async with stage(members=1, plan=OUT, topic_partitions=BEFORE, **SLOW_AND_IMPATIENT) as scenario:
        sent = webhooks(MIX, 1)
        old = await send(islice(sent, OLD), scenario.pipeline.ingress_url, Pace())
        (running,) = scenario.pipeline.running
        running.child.expected_to_end = True
        await asyncio.to_thread(extend, scenario)
        statuses = [await running.child.ended(WITHIN)]
        refused = [line["error"] for line in scenario.logged(LogEvent.MEMBER_FAILED)]

        await scenario.pipeline.restart_ingress()
        new = await send(islice(sent, NEW), scenario.pipeline.ingress_url, Pace())
        unready = scenario.pipeline.join()
        unready.child.expected_to_end = True
        statuses.append(await unready.child.ended(WITHIN))
        killed, _ = scenario.pipeline.join(DRAINING), scenario.pipeline.join(DRAINING)
        await until(lambda: begun(scenario, 2), WITHIN, scenario.pipeline.check)
        killed.child.kill()
        scenario.pipeline.join(DRAINING)
        await scenario.ended({event.id for event in old.accepted if event.connection[0] not in FAILING})
        called = {call.key.partition(":")[0] for call in await scenario.calls()}
        await scenario.inquiry.follow(WELL)

        scenario.pipeline.partitions = AFTER
        await scenario.pipeline.shared()
        verdict = await scenario.verdict(Manifest(accepted=(*old.accepted, *new.accepted)))

    assert statuses == [1, 2]
    assert len(refused) == 1
    assert f"has {AFTER} partitions now" in str(refused[0])
    assert not {event.id for event in moved(new.accepted)} & called
    assert len([*moved(new.accepted)]) > NEW / 3
    assert verdict.kept, verdict
    assert verdict.synced == OLD + NEW


def extend(scenario: Scenario) -> None:
    """Give the source more partitions, as `kafka-topics.sh --alter` does."""
    asked = scenario.admin.create_partitions([NewPartitions(scenario.topic, AFTER)])
    asked[scenario.topic].result(timeout=20)


def moved(events: Iterable[AcceptedWebhook]) -> Iterable[AcceptedWebhook]:
    """Give the events whose connections have their place elsewhere now."""
    for event in events:
        key = f"{event.tenant}/{event.connection}".encode()
        if partition_of(key, BEFORE) != partition_of(key, AFTER):
            yield event


async def begun(scenario: Scenario, members: int) -> bool:
    """Say whether so many members drain."""
    return len(scenario.logged(LogEvent.DRAIN_BEGUN)) == members

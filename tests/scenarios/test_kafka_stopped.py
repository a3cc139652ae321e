"""Kafka is gone for ten seconds under load. Senders are told to come back; what was answered 200 is not forgotten."""

import asyncio

import pytest

from broker.embedded import EmbeddedKafka
from sandbox.generator import Mix
from sandbox.sender import Pace
from tests.scenarios.conftest import Stage

OUTAGE_SECONDS = 10.0
PACE = Pace(rate=120, attempts=100, longest_wait=1.0)
MIX = Mix(connections=300, scrambled_share=0.1, other_share=0.1)


@pytest.mark.usefixtures("embeddable")
async def test_while_kafka_is_gone_senders_see_only_503_and_what_was_accepted_is_synced(stage: Stage) -> None:
    """Defends promises 1, 4 and 5."""
    async with (
        EmbeddedKafka() as kafka,
        stage(members=2, servers=kafka.bootstrap_servers, ingress_acknowledge_seconds=2) as scenario,
    ):
        back = asyncio.Event()
        sending = asyncio.create_task(scenario.send_while(lambda: not back.is_set(), MIX, PACE))
        await scenario.synced(250)
        await kafka.stop_node(0, graceful=False)
        await asyncio.sleep(OUTAGE_SECONDS)  # the outage is the scenario: nothing to wait for
        await kafka.start_node(0)
        back.set()
        manifest = await sending
        verdict = await scenario.verdict(manifest)

    assert set(manifest.answers) == {"200", "503"}
    assert verdict.kept, verdict
    assert verdict.accepted > 250
    assert verdict.given_up == 0

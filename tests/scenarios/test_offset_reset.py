"""An operator sets the group's offsets back to the beginning, by mistake or out of habit.

The events are all there to be read again, but their outcomes are in the log.
"""

import asyncio

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from tests.scenarios.conftest import Scenario, Stage


async def test_nothing_is_called_again_after_an_offset_reset(stage: Stage) -> None:
    """Defends promise 7: an event whose outcome is in the log is not handled again."""
    async with stage(members=2) as scenario:
        before = await scenario.send(1_000, seed=1)
        assert (await scenario.verdict(before)).kept
        received = len(await scenario.calls())

        await asyncio.to_thread(reset_offsets, scenario)
        scenario.pipeline.join()
        after = await scenario.send(100, seed=2)
        verdict = await scenario.verdict(after)
        calls = await scenario.calls()

    assert verdict.synced > 50
    assert verdict.lost == 0
    assert len(calls) == received + verdict.synced


def reset_offsets(scenario: Scenario) -> None:
    """Commit the beginning for every partition, as `kafka-consumer-groups.sh --reset-offsets` does."""
    beginning = [TopicPartition(scenario.topic, place.partition, 0) for place in scenario.partitions()]
    request = ConsumerGroupTopicPartitions(scenario.group, beginning)
    answer = scenario.admin.alter_consumer_group_offsets([request])[scenario.group].result(timeout=20)
    assert all(place.error is None for place in answer.topic_partitions)

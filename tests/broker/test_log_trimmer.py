"""The log trimmer on a real Kafka: what lies below is gone, and a refusal is no more than that."""

import pytest

from broker.log_reader import LogReader
from broker.log_trimmer import LogTrimmer
from schemas.errors import Retryable
from tests.broker.conftest import CreateTopic
from tests.broker.test_log_reader import read, settings
from tests.broker.test_subscription import produce
from tests.conftest import Cluster


async def test_what_lies_below_is_deleted_and_nothing_else(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """In each partition that is named; to ask again, or for less, changes nothing."""
    create_topic(3)
    produce(cluster, topic_name, {0: 20, 1: 10, 2: 10})
    async with LogTrimmer(settings(cluster)) as trimmer, LogReader(settings(cluster)) as logs:
        await trimmer.trim(topic_name, {0: 12, 1: 10})
        await trimmer.trim(topic_name, {0: 12, 1: 3})
        found = [await logs.history(topic_name, partition) for partition in range(3)]
        assert [(history.low, history.high) for history in found] == [(12, 20), (10, 10), (0, 10)]
        assert await read(logs, topic_name, 0, range(12, 20)) == [*range(12, 20)]


async def test_what_cannot_be_deleted_can_be_tried_again(
    cluster: Cluster, topic_name: str, create_topic: CreateTopic
) -> None:
    """Beyond the end of a log, or where no log is; the reason is said, and the trimmer works on."""
    create_topic(1)
    produce(cluster, topic_name, {0: 5})
    async with LogTrimmer(settings(cluster)) as trimmer, LogReader(settings(cluster)) as logs:
        with pytest.raises(Retryable, match=rf"{topic_name}: records could not be deleted: "):
            await trimmer.trim(topic_name, {0: 6})
        with pytest.raises(Retryable, match=r"records could not be deleted: "):
            await trimmer.trim(f"{topic_name}.none", {0: 1})
        await trimmer.trim(topic_name, {0: 5})
        history = await logs.history(topic_name, 0)
        assert (history.low, history.high) == (5, 5)

"""Waiting for a layout: on a real Kafka until a group is drained, and without one what ends the waiting."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from broker.layout import Layout, Standing
from consumer.drain import look, until
from consumer.drain.look import Drain
from consumer.drain.progress import Late
from consumer.drain.until import tell_late, until_drained, until_extended
from consumer.engine.committed import Committed
from schemas.errors import ConfigurationError, Retryable
from schemas.event import Event
from schemas.record import to_record
from schemas.settings import ConsumerSettings
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event, in_virtual_time, settings

OLD, NEW = 2, 3
LAYOUT = Layout(old=OLD, new=NEW)
WITHIN = 30


def events(standing: Standing) -> list[Event]:
    """Make events that stand so in partition 0."""
    made = [event(number, connection=f"c-{number}") for number in range(60)]
    return [each for each in made if LAYOUT.standing(to_record(each).key, 0) is standing]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and report every look."""
    monkeypatch.setattr(until, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(until, "_REPORT_SECONDS", 0.0)


@pytest.mark.usefixtures("eager")
def test_a_group_is_drained_when_what_is_misplaced_has_passed_and_is_parked_no_more(
    cluster: Cluster, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says meanwhile what is left, and afterwards, however many looks it takes, what came too late for its order."""
    group = Group(cluster.bootstrap_servers, topic_name, OLD)
    misplaced, late = events(Standing.MISPLACED)[:2]
    stayed, moved_in = events(Standing.STAYED)[0], events(Standing.MOVED_IN)[0]
    group.publish(misplaced, stayed, moved_in, stayed, late)
    group.extend(NEW)

    async def story() -> None:
        with capture_logs() as logs:
            draining = asyncio.create_task(until_drained(group.settings, LAYOUT))
            await reported(draining, logs, left=2, parked=0)
            group.take(epoch=1)
            position = group.park(0, misplaced)
            group.park(1, stayed)
            group.commit(Committed(frontier=1, epoch=1, outcomes_from=0, parked_from=position, parked_epoch=1))
            await reported(draining, logs, left=1, parked=1)
            group.settle(0)
            async with asyncio.timeout(WITHIN):
                behind = await draining
                assert logs[-1]["event"] == "drain.finished"
                monkeypatch.setattr(look, "_MOST", 0)  # a record each look
                await tell_late(group.settings, behind)
        assert logs[0]["event"] == "drain.begun"
        assert [line for line in logs if line["log_level"] == "warning"] == [
            {"event": "events.misplaced", "log_level": "warning", "partition": 0, "count": 1, "first_offsets": [4]}
        ]

    asyncio.run(story())


async def reported(draining: asyncio.Task[Mapping[int, Late]], logs: list[EventDict], left: int, parked: int) -> None:
    """Wait until that is said to be left, of partition 0 alone: the other has nothing."""
    async with asyncio.timeout(WITHIN):
        while logs[-1:] == [] or logs[-1]["partitions"] != [{"partition": 0, "left": left, "parked": parked}]:
            assert not draining.done(), draining
            await asyncio.sleep(0.01)


async def answering(monkeypatch: pytest.MonkeyPatch, *answers: Layout | Exception) -> None:
    """Wait with a Kafka that answers so, and leaves everything undrained."""
    left = deque(answers)

    def answered(_: ConsumerSettings, __: Drain) -> Layout:
        answer = left.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(until, "look", answered)
    assert await until_drained(settings(), LAYOUT) == {}
    assert not left


@pytest.mark.usefixtures("eager")
async def test_who_sees_that_another_has_extended_the_groups_topics_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some of them are not enough, and a Kafka that is away is asked again."""
    with capture_logs() as logs:
        await answering(monkeypatch, LAYOUT, Retryable("away"), LAYOUT, Layout(old=NEW, new=NEW))
    assert [line["event"] for line in logs] == ["drain.begun", "drain.delayed", "drain.measured"]


@pytest.mark.usefixtures("eager")
async def test_a_source_that_is_extended_again_meanwhile_is_another_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is misplaced is other than was looked for, and nothing can keep the order between the two extensions."""
    says = r"has 4 partitions now, and had 3 .*never extend a topic again before a drain has .*run --repartitioned"
    with pytest.raises(ConfigurationError, match=says):
        await answering(monkeypatch, LAYOUT, Layout(old=OLD, new=NEW + 1))


@pytest.mark.usefixtures("eager")
async def test_late_events_are_looked_for_from_where_kafka_answered_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is counted twice, and a Kafka that is away is asked again."""
    key = to_record(events(Standing.MISPLACED)[0]).key

    def find(_: ConsumerSettings, behind: Mapping[int, Late]) -> None:
        behind[0].source_ends(9)
        behind[0].source(behind[0].position, key)
        if behind[0].position == 8:
            raise Retryable("away")

    monkeypatch.setattr(until, "find_late", find)
    with capture_logs() as logs:
        await tell_late(settings(), {0: Late(LAYOUT, 0, 7)})
    assert [line["event"] for line in logs] == ["drain.delayed", "events.misplaced"]
    assert logs[-1]["first_offsets"] == [7, 8]


class Logs:
    """A log reader that counts partitions as a test says."""

    def __init__(self, *answers: int | Exception) -> None:
        self.left = deque(answers)

    async def partitions(self, _: str) -> int:
        """Answer."""
        answer = self.left.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_running_member_is_told_of_an_extension_and_of_nothing_else() -> None:
    """A topic that seems to be gone, or a Kafka that is, is not one."""
    logs: Any = Logs(3, Retryable("away"), 0, 3, 4)
    says = r"hooks: has 4 partitions now, and had 3 .*: keys have moved.*run --repartitioned"
    with pytest.raises(ConfigurationError, match=says):
        in_virtual_time(until_extended(logs, "hooks", Layout(old=3, new=3)))
    assert not logs.left

"""What a member shows of itself: each state of a lane, in virtual time, as `why` reads it."""

import asyncio
from typing import Any

from consumer.why.answer import PageAnswer, PageHead
from schemas.errors import DestinationDown, Misconfigured, NotAcknowledged
from tests.consumer.fakes import clock, event, settle, until
from tests.consumer.kafka import TOPICS
from tests.consumer.stage import Stage, play, stage

KEY = b"acme/one"


def lane(on: Stage) -> PageAnswer:
    """Ask about the lane of most events, as `why` reads the answer."""
    return PageAnswer.model_validate(on.member.view().lane(KEY))


def head(on: Stage) -> PageHead:
    """Get the lane's head."""
    (shown,) = lane(on).lanes
    assert shown.head is not None
    return shown.head


def partition(on: Stage) -> dict[str, Any]:
    """Get the state of partition 0."""
    shown: list[dict[str, Any]] = on.member.view().state()["partitions"]
    return shown[0]


def test_a_call_in_flight_and_what_waits_behind_it_are_shown() -> None:
    """Since when, which attempt, and how many wait."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(event(0), event(1), event(2), event(3, connection="two"))
            began = clock()
            await asyncio.sleep(5)
            assert (head(on).offset, head(on).stage, head(on).attempts, head(on).since) == (0, "call", 1, began)
            assert lane(on).lanes[0].behind == 2
            assert (partition(on)["frontier"], partition(on)["read_position"], partition(on)["held"]) == (0, 4, 3)
            on.handler.release("event-0")
            await until(lambda: len(on.log.ended()) == 4)
            await settle()
            assert not lane(on).lanes
            assert (partition(on)["frontier"], partition(on)["stage"]) == (4, "running")

    play(story())


def test_a_pause_between_attempts_is_shown_with_its_end_and_its_error() -> None:
    """Also that of the next attempt."""

    async def story() -> None:
        async with stage(retry_initial_seconds=4, retry_seconds=100) as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [DestinationDown("Fuse answered 503")] * 2
            on.deliver(event(0))
            await asyncio.sleep(1)
            shown = head(on)
            assert (shown.stage, shown.attempts, shown.error) == ("pause", 1, "Fuse answered 503")
            assert shown.until is not None
            assert 2 <= shown.until - clock() <= 8
            await until(lambda: on.called("event-0") == [1, 2])
            await asyncio.sleep(0.1)
            assert (head(on).stage, head(on).attempts) == ("pause", 2)

    play(story())


def test_an_event_that_waits_for_a_slot_is_shown_so() -> None:
    """With how many calls there are."""

    async def story() -> None:
        async with stage(max_in_flight=1) as on:
            await on.take(0)
            on.handler.hold("event-0")
            on.deliver(event(0, connection="two"), event(1))
            await settle()
            assert head(on).stage == "slot"
            calls = lane(on).calls
            assert (calls.in_flight, calls.most, calls.waiting) == (1, 1, 1)

    play(story())


def test_without_commits_the_member_says_that_it_has_no_lease() -> None:
    """It is not ready, the head waits for the lease, and both are over with the next commit."""

    async def story() -> None:
        async with stage() as on:
            assert list(on.member.view().unready()) == ["owns no partition"]
            await on.take(0)
            await on.commits()
            assert not on.member.view().unready()
            on.subscription.refusing = True
            await asyncio.sleep(30)
            (reason,) = on.member.view().unready()
            assert reason.startswith("partition 0 has no lease")
            on.deliver(event(0))
            await settle()
            assert head(on).stage == "lease"
            assert partition(on)["lease_seconds"] < 0
            on.subscription.refusing = False
            await until(on.log.ended)
            assert not on.member.view().unready()

    play(story())


def test_a_parked_lane_and_a_misconfigured_tenant_are_shown() -> None:
    """The door that is closed, and the first of the lane that is parked."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.handler.scripts["event-0"] += [Misconfigured("answered 401")] * 100
            on.deliver(event(0), event(1))
            await asyncio.sleep(1)
            shown = lane(on)
            assert shown.misconfigured_tenants == ("acme/sandbox",)
            assert [each.parked.offset for each in shown.lanes if each.parked is not None] == [0]
            assert partition(on)["parked"] == 2

    play(story())


def test_what_kafka_does_not_take_is_shown_until_it_does() -> None:
    """The write, the offset and the error; and the alarm, which ends with it."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.broken.add(TOPICS.outcomes)
            on.deliver(event(0))
            await asyncio.sleep(1)
            assert partition(on)["pinned"] == [{"offset": 0, "write": "WriteOutcome", "error": "broken"}]
            active = on.member.view().state()["alarms"]["active"]
            assert [(alarm["event"], alarm["about"]) for alarm in active] == [("frontier.pinned", "0")]
            on.publisher.broken.clear()
            await until(lambda: not partition(on)["pinned"])
            assert on.member.view().state()["alarms"] == {"active": [], "totals": {"frontier.pinned": 1}}

    play(story())


def test_a_lost_partition_takes_its_alarm_with_it() -> None:
    """What is not written yet is the next owner's to call again: nothing of it is ours to mend."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            on.publisher.failures += [NotAcknowledged("gone")] * 100
            on.deliver(event(0))
            await until(lambda: on.member.alarms.active)
            on.lose(0)
            await settle()
            assert not on.member.alarms.active

    play(story())


def test_a_partition_that_is_being_taken_over_is_shown_so() -> None:
    """The member is not ready, and has nothing to say of lanes."""

    async def story() -> None:
        async with stage() as on:
            on.publisher.hold()
            on.assign(0)
            await settle()
            assert partition(on)["stage"] == "taking_over"
            assert list(on.member.view().unready()) == ["partition 0 is being taken over"]
            assert not lane(on).lanes
            on.publisher.let_through()
            await until(lambda: partition(on)["stage"] == "running")

    play(story())

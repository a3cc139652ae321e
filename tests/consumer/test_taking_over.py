"""Taking over: the commands of a takeover carried out, and what may go wrong with each."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from broker.publisher import Position
from consumer.engine.commands import Read, WriteDead, WriteOutcome, WritePark
from consumer.engine.committed import Committed
from consumer.engine.lanes import Waiting
from consumer.taking_over import take_over
from consumer.tenure import Tenure
from schemas.errors import NotAcknowledged, QueueFull, Retryable, UnpublishableRecord
from schemas.outcome import Taken
from schemas.parked import Settle, write_note
from schemas.record import Record, record_key, to_record
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, in_virtual_time, now, until
from tests.consumer.kafka import TOPICS
from tests.consumer.scene import Scene, ended, handled_again, park, tell, turns


def test_the_very_first_owner_claims_and_marks_both_logs() -> None:
    """And holds a lease from the sending of its claim on; there is nothing to read."""
    scene = Scene()
    tell(scene)
    assert scene.log.taken() == [(1, "me")]
    assert scene.log.journal() == [("taken", 1)]
    assert scene.now_committed() == Committed(frontier=0, epoch=1)
    assert scene.logs.readings == []


def test_a_successor_reads_only_from_where_the_commit_says() -> None:
    """What ended there is not handled again, what is parked there is parked, and the claim is one epoch up."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(20)))
    for at in range(20, 30):
        scene.log.note(park(at), event(at, connection=str(at)))
    scene.committed(10, 3, 8, 4)
    tenure = tell(scene)
    assert scene.read() == ([range(8, 20)], [range(4, 10)])
    assert scene.now_committed() == Committed(frontier=10, epoch=4, outcomes_from=8, parked_from=4, parked_epoch=1)
    assert handled_again(tenure, range(10, 33)) == [20, 21, 22, 23, 30, 31, 32]
    assert tenure.engine.parked == 6


def test_nothing_is_read_where_only_our_own_mark_is_new() -> None:
    """Usual after a stop in order: a takeover costs as little as it can."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(5)))
    scene.log.note(Taken(epoch=3, member="another"))
    scene.committed(5, 3, 5, 1)
    tell(scene)
    assert scene.logs.readings == []
    assert scene.logs.asked == 0
    assert scene.log.taken() == [(4, "me")]


def test_after_an_offset_reset_everything_that_ended_is_known() -> None:
    """An operator's reset leaves no metadata; the epoch is above every mark all the same."""
    scene = Scene()
    scene.log.write(0, Taken(epoch=7, member="another"), *map(ended, range(5)))
    scene.log.note(Taken(epoch=7, member="another"))
    scene.log.note(park(5, epoch=7), event(5, connection="5"))
    scene.subscription.committed[0] = (0, "")
    tenure = tell(scene)
    assert scene.log.taken()[-1] == (8, "me")
    assert handled_again(tenure, range(7)) == [6]
    assert tenure.engine.parked == 1


def test_a_rival_that_marked_later_makes_it_claim_again_above() -> None:
    """Its mark lands while ours is under way; what it wrote is read, and the outcomes again after the second claim."""
    scene = Scene()
    scene.committed(0, 3, 0)

    async def story() -> Tenure:
        scene.publisher.hold()
        taking = asyncio.create_task(scene.take_over())
        await until(lambda: scene.publisher.on_the_way)
        scene.log.write(0, ended(0), Taken(epoch=9, member="rival"), ended(1))
        scene.log.note(Taken(epoch=9, member="rival"))
        scene.publisher.let_through()
        return await taking

    tenure = in_virtual_time(story())
    assert scene.log.taken() == [(9, "rival"), (4, "me"), (10, "me")]
    assert scene.read() == ([range(4)], [range(1)])
    assert scene.now_committed().epoch == 10
    assert handled_again(tenure, range(3)) == [2]


def test_what_is_parked_waits_for_its_lanes_turn_and_a_lane_with_something_parked_stays_parked() -> None:
    """In the order of the source, whatever the order in the log; what follows is parked behind it (promise 4)."""
    scene = Scene()
    for at in (3, 1, 2):
        scene.log.note(park(at), event(at))
    scene.committed(4, 1, 0)
    tenure = tell(scene)
    following = Waiting(offset=4, lane=record_key("acme", "one"), size=1, event=event(4))
    (command,) = tenure.engine.records_read([following], 0)
    assert isinstance(command, WritePark)
    assert turns(tenure) == [1, 2, 3]


def test_what_ended_and_was_not_settled_is_settled_and_not_handled_again() -> None:
    """A crash came between its outcome and its settle (promise 7)."""
    scene = Scene()
    scene.log.note(park(1), event(1))
    scene.log.note(park(2), event(2))
    scene.log.note(park(3), event(3))
    scene.log.note(Settle(offset=3))
    scene.log.write(0, ended(3), ended(1))
    scene.committed(4, 1, 0)
    tenure = scene.tenure()
    commands = in_virtual_time(take_over(tenure, scene.clients, scene.alarms))
    assert [type(command).__name__ for command in commands] == ["WriteSettle", "Read"]
    assert commands[0] == tenure.engine._parking.settle(1, 1)  # noqa: SLF001 - as it would write it
    assert turns(tenure) == [2]


def test_a_park_of_somebody_who_had_been_replaced_is_void() -> None:
    """It landed behind its successor's mark, and whoever wrote it cannot have committed beyond it."""
    scene = Scene()
    scene.log.note(Taken(epoch=2, member="another"))
    scene.log.note(park(1, epoch=1), event(1, connection="1"))
    scene.log.note(park(2, epoch=2), event(2, connection="2"))
    scene.committed(1, 2, 0)
    tenure = tell(scene)
    assert handled_again(tenure, range(1, 4)) == [1, 3]
    assert turns(tenure) == [2]


def _refuse_commits(scene: Scene) -> None:
    def take_again() -> None:
        scene.subscription.refusing = False

    scene.subscription.refusing = True
    asyncio.get_running_loop().call_later(10, take_again)


def _forget_the_tenure(scene: Scene) -> None:
    current = dict(scene.subscription.current)
    scene.subscription.current.clear()
    asyncio.get_running_loop().call_later(10, scene.subscription.current.update, current)


def _fill_the_queue(scene: Scene) -> None:
    scene.publisher.refusals += [QueueFull("full")] * 3


def _lose_the_mark(scene: Scene) -> None:
    scene.publisher.failures.append(NotAcknowledged("no"))


def _break_the_reading(scene: Scene) -> None:
    scene.logs.failures += [Retryable("broken"), Retryable("broken again")]


@pytest.mark.parametrize(
    "trouble", [_refuse_commits, _forget_the_tenure, _fill_the_queue, _lose_the_mark, _break_the_reading]
)
@pytest.mark.parametrize("outcomes_from", [0, None])
def test_whatever_fails_is_tried_again_from_there(trouble: Callable[[Scene], None], outcomes_from: int | None) -> None:
    """And said; the takeover ends as if nothing had happened."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(5)))
    scene.committed(2, 3, outcomes_from)

    async def story() -> Tenure:
        tenure = scene.tenure()
        trouble(scene)
        async with asyncio.timeout(60):
            assert await take_over(tenure, scene.clients, scene.alarms) == [Read()]
        return tenure

    with capture_logs() as logs:
        tenure = in_virtual_time(story())
    assert {line["event"] for line in logs} == {LogEvent.TAKEOVER_DELAYED}
    assert scene.log.taken()[-1] == (tenure.engine.epoch, "me")
    assert scene.log.journal()[-1] == ("taken", tenure.engine.epoch)
    assert handled_again(tenure, range(2, 7)) == [5, 6]


@pytest.mark.parametrize("topic", [TOPICS.outcomes, TOPICS.parked])
def test_a_mark_that_landed_unacknowledged_is_marked_over(topic: str) -> None:
    """With a higher epoch, since it might be a rival's for all that we can see; in both logs."""
    scene = Scene()
    scene.committed(0, 3, 0)

    async def story() -> Tenure:
        scene.publisher.hold()
        taking = asyncio.create_task(scene.take_over())
        await until(lambda: len(scene.publisher.on_the_way) == 2)
        (lost,) = [write for write in scene.publisher.on_the_way if write.topic == topic]
        scene.log.append(topic, 0, lost.record)
        lost.acknowledged.set_exception(NotAcknowledged("no"))
        scene.publisher.on_the_way.remove(lost)
        scene.publisher.let_through()
        return await taking

    in_virtual_time(story())
    assert scene.log.taken() == [(4, "me"), (4, "me"), (5, "me")]
    assert scene.log.journal() == [("taken", 4), ("taken", 4), ("taken", 5)]


def test_a_mark_that_fails_beside_one_for_which_there_is_no_room_is_not_left_unheard() -> None:
    """A future that nobody asks complains at the end, and hides what is really wrong."""
    scene = Scene()

    async def story() -> None:
        publish = scene.publisher.publish

        def refuse_the_second(topic: str, record: Record, *, partition: int = -1) -> asyncio.Future[Position]:
            if topic == TOPICS.parked and now() == 0:
                raise QueueFull("full")
            return publish(topic, record, partition=partition)

        scene.publisher.publish = refuse_the_second  # type: ignore[method-assign] # only the first time
        scene.publisher.failures.append(NotAcknowledged("no"))
        await scene.take_over()
        gc.collect()

    in_virtual_time(story())
    assert scene.log.taken() == [(1, "me")]


def test_a_mark_that_kafka_will_never_take_ends_the_member() -> None:
    """To try for ever would be to hold a partition and handle nothing."""
    scene = Scene()
    scene.publisher.failures.append(UnpublishableRecord("not authorised"))
    with pytest.raises(UnpublishableRecord):
        tell(scene)


def test_a_takeover_can_be_ended_while_it_waits() -> None:
    """For a commit, an acknowledgement, or a broker that stalls: the partition may go at any moment."""
    for hold in (_silence, _hold_writes, _stall):
        scene = Scene()
        scene.log.note(Taken(epoch=1, member="another"))
        in_virtual_time(_end_while_it_waits(scene, hold))


def _silence(scene: Scene) -> None:
    scene.subscription.silent = True


def _hold_writes(scene: Scene) -> None:
    scene.publisher.hold()


def _stall(scene: Scene) -> None:
    scene.logs.stalled.clear()


async def _end_while_it_waits(scene: Scene, hold: Callable[[Scene], None]) -> None:
    hold(scene)
    taking = asyncio.create_task(scene.take_over())
    await asyncio.sleep(3600)
    assert not taking.done()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    scene.publisher.let_through()  # a late acknowledgement finds nobody, and troubles nobody


async def test_what_is_written_goes_to_the_partition_of_the_source() -> None:
    """Whatever it is: records of partition n lie in partition n of each topic."""
    scene = Scene()
    assert await scene.clients.write(5, WriteOutcome(ended=ended(0))) == Position(partition=5, offset=0)
    record = write_note(park(0), to_record(event(0)))
    assert await scene.clients.write(5, WritePark(offset=0, record=record)) == Position(partition=5, offset=0)
    assert await scene.clients.write(5, WriteDead(offset=0, record=record)) == Position(partition=5, offset=0)
    assert scene.log.ended(5) == [(0, "applied")]
    assert scene.log.journal(5) == [("park", 0)]
    assert scene.log.history(TOPICS.dead, 5).high == 1

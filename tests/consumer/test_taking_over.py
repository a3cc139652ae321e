"""Taking over: the commands of a takeover carried out, and what may go wrong with each."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from broker.publisher import Position
from consumer.engine.commands import Read, Start
from consumer.engine.committed import Committed, read_committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Bounds, PartitionEngine
from consumer.lease import Lease
from consumer.taking_over import Clients, take_over
from consumer.tenure import Tenure
from schemas.errors import NotAcknowledged, QueueFull, Retryable, UnpublishableRecord, UnreadableRecord
from schemas.outcome import Ended, OutcomeKind, Taken
from schemas.telemetry import LogEvent
from tests.consumer.fakes import (
    OUTCOMES,
    FakeLogs,
    FakePublisher,
    FakeSubscription,
    OutcomesLog,
    event,
    in_virtual_time,
    now,
    until,
)

LEASE = 6.0


class Scene:
    """A partition about to be taken over, and what is there of Kafka."""

    def __init__(self) -> None:
        self.log = OutcomesLog()
        self.publisher = FakePublisher(self.log)
        self.logs = FakeLogs(self.log)
        self.subscription = FakeSubscription()
        self.clients = Clients(
            subscription=self.subscription, publisher=self.publisher, logs=self.logs, outcomes=OUTCOMES
        )

    def committed(self, frontier: int, epoch: int, outcomes_from: int | None) -> None:
        """Commit as an earlier owner did."""
        metadata = Committed(frontier=frontier, epoch=epoch, outcomes_from=outcomes_from).metadata()
        self.subscription.committed[0] = (frontier, metadata)

    def tenure(self) -> Tenure:
        """Begin a tenure."""
        given = self.subscription.assign(0)
        bounds = Bounds(events=100, bytes=100_000, distance=1_000)
        engine = PartitionEngine(read_committed(given.start, given.metadata), "me", bounds)
        return Tenure(partition=0, number=given.tenure, engine=engine, lease=Lease(LEASE))

    async def take_over(self) -> Tenure:
        """Take the partition over."""
        tenure = self.tenure()
        assert await take_over(tenure, self.clients) == [Read()]
        return tenure

    def now_committed(self) -> Committed:
        """Read what is committed."""
        return read_committed(*self.subscription.committed[0])


def ended(offset: int) -> Ended:
    """Give another member's outcome."""
    return Ended(
        offset=offset,
        id=f"event-{offset}",
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=1,
        member="another",
    )


def handled_again(tenure: Tenure, offsets: range) -> list[int]:
    """List which of some events, each in a lane of its own, the engine would start."""
    waiting = [Waiting(offset=at, lane=b"%d" % at, size=1, event=event(at)) for at in offsets]
    commands = tenure.engine.records_read(waiting)
    return [command.waiting.offset for command in commands if isinstance(command, Start)]


def tell(scene: Scene) -> Tenure:
    """Take over, without any time passing if nothing goes wrong."""

    async def story() -> Tenure:
        tenure = await scene.take_over()
        await tenure.lease.held()
        assert now() == 0
        return tenure

    return in_virtual_time(story())


def test_the_very_first_owner_surveys_an_empty_log_claims_and_marks() -> None:
    """And holds a lease from the sending of its claim on."""
    scene = Scene()
    tell(scene)
    assert scene.log.taken() == [(1, "me")]
    assert scene.now_committed() == Committed(frontier=0, epoch=1, outcomes_from=None)
    assert scene.logs.readings == [range(0), range(1)]


def test_a_successor_reads_only_from_where_the_commit_says() -> None:
    """What ended there is not handled again, and the claim is one epoch up."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(20)))
    scene.committed(10, 3, 8)
    tenure = tell(scene)
    assert scene.logs.readings == [range(8, 21)]
    assert scene.now_committed() == Committed(frontier=10, epoch=4, outcomes_from=8)
    assert handled_again(tenure, range(10, 23)) == [20, 21, 22]


def test_after_an_offset_reset_everything_that_ended_is_known() -> None:
    """An operator's reset leaves no metadata; the epoch is above every mark all the same."""
    scene = Scene()
    scene.log.write(0, Taken(epoch=7, member="another"), *map(ended, range(5)))
    scene.subscription.committed[0] = (0, "")
    tenure = tell(scene)
    assert scene.log.taken()[-1] == (8, "me")
    assert handled_again(tenure, range(7)) == [5, 6]


def test_a_rival_that_marked_later_makes_it_claim_again_above() -> None:
    """Its mark lands while ours is under way; both logs are read without a gap."""
    scene = Scene()
    scene.committed(0, 3, 0)

    async def story() -> Tenure:
        scene.publisher.held = True
        taking = asyncio.create_task(scene.take_over())
        await until(lambda: scene.publisher.on_the_way)
        scene.log.write(0, ended(0), Taken(epoch=9, member="rival"), ended(1))
        scene.publisher.let_through()
        return await taking

    tenure = in_virtual_time(story())
    assert scene.log.taken() == [(9, "rival"), (4, "me"), (10, "me")]
    assert scene.logs.readings == [range(4), range(4, 5)]
    assert scene.now_committed().epoch == 10
    assert handled_again(tenure, range(3)) == [2]


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
            assert await take_over(tenure, scene.clients) == [Read()]
        return tenure

    with capture_logs() as logs:
        tenure = in_virtual_time(story())
    assert {line["event"] for line in logs} == {LogEvent.TAKEOVER_DELAYED}
    assert scene.log.taken() == [(tenure.engine.epoch, "me")]
    assert handled_again(tenure, range(2, 7)) == [5, 6]


def test_a_mark_that_landed_unacknowledged_is_marked_over() -> None:
    """With a higher epoch, since it might be a rival's for all that we can see."""
    scene = Scene()
    scene.committed(0, 3, 0)

    async def story() -> Tenure:
        scene.publisher.held = True
        taking = asyncio.create_task(scene.take_over())
        await until(lambda: scene.publisher.on_the_way)
        first = scene.publisher.on_the_way[0]
        scene.log.append(0, first.value)
        first.acknowledged.set_exception(NotAcknowledged("no"))
        scene.publisher.on_the_way.clear()
        scene.publisher.held = False
        return await taking

    in_virtual_time(story())
    assert scene.log.taken() == [(4, "me"), (4, "me"), (5, "me")]


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
        in_virtual_time(_end_while_it_waits(scene, hold))


def _silence(scene: Scene) -> None:
    scene.subscription.silent = True


def _hold_writes(scene: Scene) -> None:
    scene.publisher.held = True


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


def test_garbage_in_the_outcomes_log_stops_nothing() -> None:
    """It is named."""
    scene = Scene()
    scene.log.write(0, ended(0))
    scene.log.append(0, b"{}")
    scene.log.write(0, ended(1))
    scene.committed(0, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    (line,) = logs
    assert (line["event"], line["topic"], line["partition"], line["offset"]) == (
        LogEvent.RECORD_UNREADABLE,
        OUTCOMES,
        0,
        1,
    )
    assert handled_again(tenure, range(3)) == [2]


@pytest.mark.parametrize("outcomes_from", [0, None])
def test_an_outcome_of_a_later_version_stops_the_takeover(outcomes_from: int | None) -> None:
    """This release cannot know what it would repeat or skip."""
    scene = Scene()
    scene.log.append(0, ended(0).model_copy(update={"v": 2}).model_dump_json().encode())
    scene.committed(0, 1, outcomes_from)
    with pytest.raises(UnreadableRecord, match="version 2"):
        tell(scene)


def _expired(logs: list[EventDict]) -> list[tuple[int, int]]:
    found = [line for line in logs if line["event"] == LogEvent.HISTORY_EXPIRED]
    assert all(line["topic"] == OUTCOMES for line in found)
    return [(line["first_gone"], line["last_gone"]) for line in found]


def test_outcomes_that_have_expired_are_reported_and_the_takeover_goes_on() -> None:
    """A group that was away for longer than its outcomes are kept must not wait for them for ever."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(10)))
    scene.log.low = 6
    scene.committed(0, 1, 2)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == [(2, 5)]
    assert handled_again(tenure, range(12)) == [0, 1, 2, 3, 4, 5, 10, 11]


def test_the_beginning_of_the_log_is_wherever_it_begins_by_now() -> None:
    """A first owner commits position 0 for it, and nothing that anyone waits for has expired."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(10)))
    scene.log.low = 6
    scene.committed(6, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == []
    assert handled_again(tenure, range(6, 12)) == [10, 11]


def test_an_outcomes_log_that_was_made_anew_is_read_whole() -> None:
    """The committed position lies beyond its end; what it holds by now still counts."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(3)))
    scene.committed(0, 1, 500)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == [(3, 499)]
    assert handled_again(tenure, range(5)) == [3, 4]


async def test_what_is_written_goes_to_the_partition_of_the_source() -> None:
    """Outcomes of partition n lie in partition n."""
    scene = Scene()
    assert await scene.clients.write(5, ended(0)) == Position(partition=5, offset=0)
    assert scene.log.ended(5) == [(0, "applied")]

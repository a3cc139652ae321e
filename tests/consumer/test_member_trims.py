"""A member and the size of what it keeps: the parked log that it cuts, and what it tells of itself."""

import asyncio

from structlog.testing import capture_logs

from schemas.errors import Retryable
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, garbage, settle, until
from tests.consumer.kafka import TOPICS
from tests.consumer.stage import Stage, others, play, stage

NO = Retryable("no")
TRIM_SECONDS = 30.0


async def park_and_settle(on: Stage, count: int, start: int = 0) -> None:
    """Have events, each in a lane of its own, parked once and then applied."""
    for each in others(count, start):
        on.handler.scripts[each.id].append(NO)
    on.deliver(*others(count, start), start=start)
    await until(lambda: len(on.log.ended()) == start + count)
    await settle()


def asked(on: Stage) -> list[int]:
    """List below which positions of partition 0 the member wanted to delete."""
    assert all(topic == TOPICS.parked for topic, _ in on.trimmer.asked)
    return [below[0] for _, below in on.trimmer.asked]


def test_nothing_is_deleted_beyond_the_members_own_mark() -> None:
    """A later owner has to find it, whatever has been settled since: it tells the epoch."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park_and_settle(on, 3)
            await asyncio.sleep(2.5 * TRIM_SECONDS)
            assert on.committed().parked_from == 7
            assert asked(on) == []
            await on.release(0)
            await on.take(0)
            await park_and_settle(on, 3, 3)
            await asyncio.sleep(2.5 * TRIM_SECONDS)
            assert on.log.journal()[7] == ("taken", 2)
            assert asked(on) == [7]
            assert on.log.low[TOPICS.parked, 0] == 7

    play(story())


def test_nothing_is_deleted_that_counts() -> None:
    """One event that waits keeps all that lies behind its record; when it has ended, that goes."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park_and_settle(on, 2)
            on.handler.scripts["event-2"].append(Retryable("no", retry_after=200))
            on.deliver(event(2, connection="c-2"), start=2)
            await until(lambda: on.log.journal()[-1] == ("park", 2))
            await park_and_settle_more(on)
            await on.release(0)
            await on.take(0)
            await asyncio.sleep(100)
            assert asked(on) == [5]
            await asyncio.sleep(150)
            assert on.log.ended()[-1] == (2, "applied")
            assert asked(on) == [5, 10]

    play(story())


async def park_and_settle_more(on: Stage) -> None:
    """Have two more events parked and settled, behind one that is not."""
    for each in others(2, 3):
        on.handler.scripts[each.id].append(NO)
    on.deliver(*others(2, 3), start=3)
    await until(lambda: len(on.log.ended()) == 4)
    await settle()


def test_nothing_is_deleted_that_no_commit_has_passed() -> None:
    """The next owner begins to read where the last commit says."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park_and_settle(on, 3)
            await on.release(0)
            await on.take(0)
            on.subscription.refusing = True
            await asyncio.sleep(2.5 * TRIM_SECONDS)
            assert asked(on) == []
            on.subscription.refusing = False
            await asyncio.sleep(2 * TRIM_SECONDS)
            assert asked(on) == [7]

    play(story())


def test_what_kafka_does_not_delete_is_a_warning_and_tried_again() -> None:
    """It costs room, and nothing else: no right to delete is needed to handle events."""

    async def story() -> None:
        async with stage(retry_attempts=1) as on:
            await on.take(0)
            await park_and_settle(on, 3)
            await on.release(0)
            on.trimmer.refusals += [Retryable("not authorised")] * 2
            await on.take(0)
            with capture_logs() as logs:
                await asyncio.sleep(4.5 * TRIM_SECONDS)
            assert asked(on) == [7, 7, 7]
            kept = [line for line in logs if line["event"] == LogEvent.PARKED_KEPT]
            assert [(line["log_level"], line["error"], line["partitions"]) for line in kept] == [
                ("warning", "not authorised", 1)
            ] * 2

    play(story())


def test_a_log_that_is_long_for_what_it_holds_is_written_anew_at_its_end() -> None:
    """One event that waits for a day would else keep all that a day brings; its order and its turn stay."""

    async def story() -> None:
        async with stage(retry_attempts=1, parked_log_span=100) as on:
            await on.take(0)
            on.handler.scripts["event-0"].append(Retryable("no", retry_after=100))
            on.deliver(event(0), event(1))
            await until(lambda: len(on.log.parks()) == 2)
            for each in others(60, 2):
                on.handler.scripts[each.id].append(NO)
            on.deliver(*others(60, 2), start=2)
            await until(lambda: len(on.log.ended()) == 60)
            await asyncio.sleep(10)
            anew = max(at for at, entry in enumerate(on.log.journal()) if entry == ("park", 0))
            assert anew > 100
            notes = [note for note in on.log.parks() if note.offset == 0]
            assert len(notes) > 1
            assert notes == [notes[0]] * len(notes)
            await on.commits()
            assert on.committed().parked_from == anew
            await asyncio.sleep(60)
            await until(lambda: len(on.log.ended()) == 62)
            assert on.log.ended()[60] == (0, "applied")
            assert (len(on.called("event-0")), len(on.called("event-1"))) == (2, 1)

    play(story())


def test_a_member_measures_itself_against_every_bound() -> None:
    """And says so once a minute, in one line."""

    async def story() -> None:
        async with stage(retry_attempts=1, max_held_events=100) as on:
            await on.take(0, 1)
            on.handler.hold("event-0")
            on.handler.scripts["event-2"].append(Retryable("no", retry_after=1000))
            on.handler.scripts["event-100"].append(NO)
            on.deliver(event(0), event(1), event(2, connection="two"), event(3, connection="two"))
            on.member.received([garbage(0, 4)])
            on.deliver(*others(1, 100), partition=1)
            await settle()
            on.publisher.hold(TOPICS.parked)
            on.deliver(event(5, connection="two"), start=5)
            measured = on.member.gauges()
            with capture_logs() as logs:
                await asyncio.sleep(61)
            (line,) = [line for line in logs if line["event"] == LogEvent.MEMBER_MEASURED]
            assert {name: line[name] for name in measured.as_fields()}.keys() == measured.as_fields().keys()
            assert (measured.partitions, measured.calls_in_flight, measured.held_events) == (2, 1, 2)
            assert measured.held_bytes > 100
            assert measured.frontier_distance_offsets == 6
            assert (measured.parked_events, measured.unacknowledged_writes) == (4, 1)
            assert measured.scratch_bytes > 400
            assert (measured.paused_partitions, measured.unreadable_records) == (0, 1)
            on.handler.release("event-0")

    play(story())

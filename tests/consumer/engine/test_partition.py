"""The engine of a partition at its edges; tests/consumer/engine/test_machine.py has the whole of it."""

import pytest

from consumer.engine.commands import Command, Pause, Read, Start, WriteOutcome
from consumer.engine.committed import Committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Bounds, Ending, PartitionEngine, Skipped
from consumer.engine.takeover import HistoryEntry
from schemas.outcome import Applied, Ended, Ignored, OutcomeKind
from tests.consumer.fakes import event

WIDE = Bounds(events=1000, bytes=1_000_000, distance=1000)
APPLIED = Ending(result=Applied(status=200), attempts=1, called=1, ended=2)
IGNORED = Ending(result=Ignored(reason="type_not_synced"), attempts=1, called=1, ended=2)


def waiting(offset: int, lane: bytes = b"acme/one", size: int = 10) -> Waiting:
    """Give an event at its place."""
    return Waiting(offset=offset, lane=lane, size=size, event=event(offset))


def ended(offset: int, identity: str) -> Ended:
    """Give an outcome that somebody wrote."""
    return Ended(
        offset=offset,
        id=identity,
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=1,
        member="other",
    )


def running(*before: Ended, bounds: Bounds = WIDE) -> PartitionEngine:
    """Give an engine that has taken over a partition with these outcomes; its mark lies behind them."""
    engine = PartitionEngine(Committed(frontier=0, epoch=1, outcomes_from=0), "me", bounds)
    engine.begin()
    engine.claimed()
    engine.marked(len(before))
    engine.history_read([HistoryEntry(position=at, record=record) for at, record in enumerate(before)])
    assert engine.committable is None
    assert engine.read_back() == [Read()]
    return engine


def starts(commands: list[Command]) -> list[int]:
    """List the offsets that start."""
    return [command.waiting.offset for command in commands if isinstance(command, Start)]


def test_an_event_that_ended_before_is_not_handled_again() -> None:
    """Promise 7; the frontier passes it."""
    engine = running(ended(0, "event-0"), ended(1, "event-1"))
    assert starts(engine.records_read([waiting(0), waiting(1), waiting(2)])) == [2]
    assert engine.committable is not None
    assert engine.committable.frontier == 2


def test_an_outcome_of_another_event_at_the_same_offset_ends_nothing() -> None:
    """The source topic was deleted and made anew, its outcomes were not: no event of the new one may be lost."""
    engine = running(ended(0, "of the old topic"), ended(1, "event-1"))
    assert starts(engine.records_read([waiting(0), waiting(1)])) == [0]
    assert engine.committable is not None
    assert engine.committable.frontier == 0


@pytest.mark.parametrize(
    ("bounds", "full"),
    [
        (Bounds(events=4, bytes=1_000, distance=1_000), 4),
        (Bounds(events=1_000, bytes=40, distance=1_000), 4),
        (Bounds(events=1_000, bytes=1_000, distance=4), 4),
    ],
)
def test_reading_pauses_at_each_bound_and_goes_on_well_below_it(bounds: Bounds, full: int) -> None:
    """Promise 9: by count, by bytes, and by the distance from the frontier; once each."""
    engine = running(bounds=bounds)
    for offset in range(full):
        assert (Pause() in engine.records_read([waiting(offset)])) is (offset == full - 1)
    assert Pause() not in engine.records_read([waiting(full)])  # was under way already
    resumed = []
    for offset in range(full + 1):
        engine.call_ended(waiting(offset), APPLIED)
        resumed.append(Read() in engine.outcome_written(offset, 100 + offset))
    assert resumed == [False, False, True, False, False]


def test_records_that_are_no_events_count_for_no_bound() -> None:
    """A topic full of garbage is read to its end."""
    engine = running(bounds=Bounds(events=1, bytes=1, distance=1))
    assert engine.records_read([Skipped(offset=offset) for offset in range(1000)]) == []
    assert engine.committable is not None
    assert engine.committable.frontier == 1000


def test_bounds_that_become_narrower_hold_from_the_next_batch_on() -> None:
    """Another partition came, and all of them share what one process may hold."""
    engine = running()
    engine.records_read([waiting(0), waiting(1)])
    engine.bounds = Bounds(events=3, bytes=1_000, distance=1_000)
    assert Pause() in engine.records_read([waiting(2)])


def test_the_next_of_a_lane_waits_for_the_outcome_unless_it_was_applied() -> None:
    """After an ignored event the next owner must not see the lane go on without it."""
    engine = running()
    engine.records_read([waiting(0), waiting(1), waiting(2)])
    assert starts(engine.call_ended(waiting(0), APPLIED)) == [1]
    assert starts(engine.call_ended(waiting(1), IGNORED)) == []
    assert starts(engine.outcome_written(0, 10)) == []
    assert starts(engine.outcome_written(1, 11)) == [2]


def test_an_outcome_says_how_the_event_ended_and_under_whom() -> None:
    """Everything that `audit` and people outside need."""
    engine = running()
    engine.records_read([waiting(0)])
    commands = engine.call_ended(waiting(0), Ending(result=Ignored(reason="why"), attempts=3, called=5, ended=9))
    assert commands == [
        WriteOutcome(
            ended=Ended(
                offset=0,
                id="event-0",
                outcome=OutcomeKind.IGNORED,
                reason="why",
                attempts=3,
                received=1_767_225_600_000,
                called=5,
                ended=9,
                epoch=2,
                member="me",
            )
        )
    ]


def test_after_letting_go_nothing_may_start() -> None:
    """What ended meanwhile still counts."""
    engine = running()
    engine.records_read([waiting(0)])
    assert engine.may_start
    engine.let_go()
    assert not engine.may_start
    engine.call_ended(waiting(0), APPLIED)
    engine.outcome_written(0, 10)
    assert engine.committable == Committed(frontier=1, epoch=2, outcomes_from=11)

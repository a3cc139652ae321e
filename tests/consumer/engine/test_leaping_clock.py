"""A clock that leaps, as when a machine wakes up, or NTP sets it right: what waits may wait no longer than it could."""

from collections.abc import Sequence
from dataclasses import replace

from consumer.engine.commands import Command, Start, WritePark
from consumer.engine.partition import PartitionEngine
from tests.consumer.engine.given import BUDGET, FAILED, applied, entry, failed, park, running, waiting

YEAR = 365 * 24 * 3_600_000
LONGEST = BUDGET.longest


def starts(commands: Sequence[Command]) -> list[int]:
    """List the events that are to be called."""
    return [command.waiting.offset for command in commands if isinstance(command, Start)]


def parked_at(now: int) -> PartitionEngine:
    """Give an engine that has parked an event at this time, by its clock."""
    engine = running()
    engine.records_read([waiting(0)], now)
    (write,) = engine.call_ended(waiting(0), failed(at=now))
    assert isinstance(write, WritePark)
    return engine


def test_what_was_parked_by_a_clock_that_is_set_back_waits_no_longer_than_the_longest_wait() -> None:
    """Its turn would be a year off, and its lane would wait with it."""
    engine = parked_at(YEAR)
    engine.park_written(0, 5)
    engine.tick(YEAR + 1)
    assert [starts(engine.tick(at)) for at in (7, 7 + LONGEST - 1, 7 + LONGEST)] == [[], [], [0]]


def test_a_park_that_is_acknowledged_only_after_the_clock_was_set_back_waits_no_longer_either() -> None:
    """It got its time before, and its turn after."""
    engine = parked_at(YEAR)
    engine.tick(YEAR + 1)
    engine.tick(7)
    engine.park_written(0, 5)
    assert [starts(engine.tick(at)) for at in (8, 7 + LONGEST - 1, 7 + LONGEST)] == [[], [], [0]]


def test_what_an_earlier_owner_parked_for_a_far_time_waits_no_longer_either() -> None:
    """Nobody else knows that its clock was wrong."""
    engine = running(parked=(entry(0, park(0, due=YEAR)),))
    engine.tick(7)
    engine.records_read([waiting(0)], 8)
    assert [starts(engine.tick(at)) for at in (9, 7 + LONGEST - 1, 7 + LONGEST)] == [[], [], [0]]


def test_what_fails_after_the_clock_was_set_back_is_due_by_the_clock_as_it_is() -> None:
    """Else no turn would come before the clock is again where it has leapt to."""
    engine = running()
    engine.tick(YEAR)
    engine.tick(7)
    engine.records_read([waiting(0)], 8)
    engine.call_ended(waiting(0), failed(at=8))
    engine.park_written(0, 5)
    assert [starts(engine.tick(at)) for at in (9, 8 + 9_999, 8 + 10_000)] == [[], [], [0]]


def test_a_clock_that_goes_on_as_it_should_shortens_no_wait() -> None:
    """Retry-After, above all: the longest that an event may be told and not be given up."""
    engine = running()
    engine.records_read([waiting(0)], 0)
    engine.call_ended(waiting(0), failed(replace(FAILED, retry_after=BUDGET.seconds), at=0))
    engine.park_written(0, 5)
    due = int(BUDGET.seconds * 1000)
    assert [starts(engine.tick(at)) for at in (1, due - 1, due)] == [[], [], [0]]
    assert engine.call_ended(waiting(0), applied(due)) != []

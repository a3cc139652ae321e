"""Alarms: logged when they change, counted for as long as there is one."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from consumer.alarms import Alarms
from schemas.telemetry import LogEvent

PINNED, FREED, DEAD = LogEvent.FRONTIER_PINNED, LogEvent.FRONTIER_FREED, LogEvent.DEAD_WRITTEN


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def names(logs: Sequence[EventDict]) -> list[str]:
    """List what was logged."""
    return [line["event"] for line in logs]


def test_an_alarm_is_logged_when_it_begins_and_when_it_is_over() -> None:
    """However often it is raised in between; and it is known meanwhile."""
    clock = Clock()
    alarms = Alarms(clock)
    with capture_logs() as logs:
        for _ in range(10_000):
            alarms.raised(PINNED, "3", partition=3)
        alarms.raised(PINNED, "4", partition=4)
        assert [(alarm.about, alarm.since) for alarm in alarms.active] == [("3", 1_000.0), ("4", 1_000.0)]
        clock.now += 7
        alarms.cleared(PINNED, "3", FREED, partition=3)
        alarms.cleared(PINNED, "3", FREED, partition=3)
    assert names(logs) == [PINNED, PINNED, FREED]
    assert logs[-1]["seconds"] == 7.0
    assert [alarm.about for alarm in alarms.active] == ["4"]
    assert alarms.totals == {PINNED: 2}


def test_what_happens_ten_thousand_times_is_one_line_a_minute() -> None:
    """An operator must not be flooded; the line says how many there were."""
    clock = Clock()
    alarms = Alarms(clock)
    with capture_logs() as logs:
        for _ in range(10_000):
            alarms.happened(DEAD, offset=1)
        clock.now += 60
        alarms.happened(DEAD, offset=2)
    assert [(line["offset"], line["count"]) for line in logs] == [(1, 1), (2, 10_000)]
    assert alarms.totals == {DEAD: 10_001}
    assert not alarms.active


def test_each_kind_is_told_for_itself() -> None:
    """A second sort of garbage is news, however much there is of the first."""
    alarms = Alarms(Clock())
    with capture_logs() as logs:
        for kind in ("bad-time", "no-body", "bad-time"):
            alarms.happened(LogEvent.RECORD_UNREADABLE, kind, reason=kind)
    assert [line["reason"] for line in logs] == ["bad-time", "no-body"]


def test_kinds_without_end_are_not_kept_without_end() -> None:
    """Promise 9: beyond a bound all count as one."""
    alarms = Alarms(Clock())
    with capture_logs() as logs:
        for number in range(3_000):
            alarms.happened(DEAD, str(number))
    assert len(logs) == 1_001
    assert alarms.totals == {DEAD: 3_000}


@given(st.lists(st.floats(0, 200)))
def test_the_lines_account_for_all_that_happened_but_the_last_minute(waits: list[float]) -> None:
    """Whatever happens when, each line's count and those since the last line add up to the total."""
    clock = Clock()
    alarms, since_last, quiet_from = Alarms(clock), 0, float("-inf")
    for wait in waits:
        clock.now += wait
        with capture_logs() as logs:
            alarms.happened(DEAD)
        since_last += 1
        assert bool(logs) == (clock.now - quiet_from >= 60)
        if logs:
            assert logs[0]["count"] == since_last
            since_last, quiet_from = 0, clock.now

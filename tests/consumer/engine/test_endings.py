"""Endings: outcomes and dead letters say everything that `audit` and people outside need."""

from dataclasses import replace

import pytest

from consumer.engine import endings
from consumer.engine.endings import Ending
from consumer.engine.lanes import Tried
from consumer.engine.retry import Failed
from schemas.dead import HEADER, DeadLetter
from schemas.outcome import Applied, Ended, HandlerResult, Ignored, OutcomeKind
from tests.consumer.engine.given import PLACE, unreadable, waiting

HERE = replace(PLACE, epoch=7)
RECEIVED = 1_767_225_600_000
"""When events of the tests were received: the start of 2026."""
FAILED = Failed(error="the call was answered 422", jitter=0, permanent=True, status=422)


@pytest.mark.parametrize(
    ("result", "outcome", "reason", "status"),
    [
        (Applied(status=204), OutcomeKind.APPLIED, None, 204),
        (Applied(), OutcomeKind.APPLIED, None, None),
        (Ignored(reason="type_not_synced"), OutcomeKind.IGNORED, "type_not_synced", None),
    ],
)
def test_what_was_done_says_how_it_ended_and_under_whom(
    result: HandlerResult, outcome: OutcomeKind, reason: str | None, status: int | None
) -> None:
    """Applied needs no reason, everything else has one."""
    ended = endings.done(waiting(5), Ending(result=result, attempts=3, called=50, ended=90), result, HERE)
    assert ended == Ended(
        offset=5,
        id="event-5",
        outcome=outcome,
        reason=reason,
        attempts=3,
        status=status,
        received=RECEIVED,
        called=50,
        ended=90,
        epoch=7,
        member="me",
    )


def test_calls_of_all_turns_are_counted_together() -> None:
    """And the first of them says since when the event is tried."""
    before = replace(waiting(5), tried=Tried(attempts=4, turns=1, called=10, since=20), parked=True)
    ending = Ending(result=Applied(status=200), attempts=1, called=50, ended=90)
    assert endings.after(before, ending) == Tried(attempts=5, turns=2, called=10, since=20)
    ended = endings.done(before, ending, Applied(status=200), HERE)
    assert (ended.attempts, ended.called) == (5, 10)


def test_calls_in_the_lane_are_no_turns() -> None:
    """The budget of what is parked begins when it is parked."""
    ending = Ending(result=FAILED, attempts=3, called=50, ended=90)
    assert endings.after(waiting(5), ending) == Tried(attempts=3, turns=0, called=50, since=None)


def test_what_is_superseded_was_never_called() -> None:
    """Whoever reads the outcome sees that a later event covers it."""
    ended = endings.superseded(waiting(5), 90, HERE)
    assert (ended.outcome, ended.reason, ended.attempts, ended.called) == (
        OutcomeKind.SUPERSEDED,
        "equal_event_follows",
        0,
        None,
    )


@pytest.mark.parametrize(("permanent", "reason"), [(True, "permanent"), (False, "budget_spent")])
def test_a_dead_letter_says_why_where_and_since_when(*, permanent: bool, reason: str) -> None:
    """Everything that is needed to understand it; its outcome says the same."""
    tried = Tried(attempts=5, turns=2, called=10, since=20)
    letter = endings.letter_of(waiting(5), tried, replace(FAILED, permanent=permanent), 90, HERE)
    assert letter == DeadLetter(
        group="sync",
        reason=reason,
        error="the call was answered 422",
        topic="fuse.webhooks",
        partition=0,
        offset=5,
        attempts=5,
        status=422,
        called=10,
        parked=20,
        ended=90,
        epoch=7,
        member="me",
    )
    ended = endings.dead(waiting(5), letter, HERE)
    assert (ended.outcome, ended.reason, ended.attempts, ended.status) == (OutcomeKind.DEAD, reason, 5, 422)
    assert (ended.called, ended.ended) == (10, 90)


def test_a_record_that_is_no_event_is_buried_as_it_came() -> None:
    """Raw, with what is wrong with it; its outcome has no id, and the time of the log (promise 12)."""
    found = unreadable(5)
    found = replace(found, record=replace(found.record, timestamp=12.5, headers=[("x", None), ("x", b"1")]))
    letter = endings.letter_of_unreadable(found, 90, HERE)
    assert (letter.reason, letter.error) == ("unreadable", "no-body: the record has no value")
    record = endings.raw_letter(letter, found)
    assert (record.key, record.value, record.headers[:-1]) == (None, b"?", (("x", None), ("x", b"1")))
    assert record.headers[-1][0] == HEADER
    ended = endings.unreadable(found, letter, HERE)
    assert (ended.id, ended.outcome, ended.reason, ended.received) == ("", OutcomeKind.DEAD, "unreadable", 12_500)


def test_a_record_without_a_time_can_still_be_buried() -> None:
    """Kafka says -1 where it knows none."""
    found = unreadable(5)
    found = replace(found, record=replace(found.record, timestamp=-0.001))
    assert endings.unreadable(found, endings.letter_of_unreadable(found, 90, HERE), HERE).received == 0


def test_calls_that_show_only_that_their_destination_is_down_use_up_no_turn() -> None:
    """They were made all the same, and are counted as calls."""
    before = replace(waiting(5), tried=Tried(attempts=3, turns=1), parked=True)
    tried = endings.after(before, Ending(result=FAILED, attempts=5, called=1, ended=2, spared=4))
    assert (tried.attempts, tried.turns) == (8, 2)

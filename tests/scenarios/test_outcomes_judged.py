"""The scenarios' judgement of an outcomes log: what a takeover had to know, and what it may repeat."""

from schemas.outcome import Ended, OutcomeKind, Taken
from tests.scenarios.conftest import handled_although_known

Log = list[Ended | Taken]


def taken(epoch: int) -> Taken:
    """Mark a takeover."""
    return Taken(epoch=epoch, member=f"member-{epoch}")


def ended(event: str, epoch: int) -> Ended:
    """End an event under an epoch."""
    return Ended(
        offset=0,
        id=event,
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=epoch,
        member=f"member-{epoch}",
    )


def test_an_event_that_had_ended_before_the_mark_must_not_end_again() -> None:
    """Also when another owner was in between, and when the same owner came back."""
    log: Log = [taken(1), ended("a", 1), taken(2), ended("b", 2), taken(3), ended("a", 3), ended("b", 3)]
    of_a, of_b = handled_although_known(log)
    assert of_a == [(at, log[at]) for at in (0, 1, 2, 4, 5)]
    assert of_b == [(at, log[at]) for at in (0, 2, 3, 4, 6)]


def test_an_outcome_that_was_written_twice_was_handled_once() -> None:
    """A write whose acknowledgement was lost is written again."""
    assert handled_although_known([taken(1), ended("a", 1), ended("a", 1)]) == []


def test_a_late_outcome_has_to_be_known_to_nobody() -> None:
    """It landed behind the mark of the owner after its writer: whoever comes later may begin to read behind it."""
    log: Log = [taken(1), taken(2), ended("a", 1), ended("b", 2), taken(3), ended("a", 3)]
    assert handled_although_known(log) == []


def test_what_was_repeated_because_its_outcome_was_late_must_not_be_repeated_again() -> None:
    """The repeat's own outcome is in time."""
    log: Log = [taken(1), taken(2), ended("a", 1), ended("a", 2), taken(3), ended("a", 3)]
    assert handled_although_known(log) == [[*enumerate(log)]]

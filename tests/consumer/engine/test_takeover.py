"""Takeover, step by step: claim, mark, read back."""

from consumer.engine.commands import Claim, Command, Mark, ReadBack, Survey
from consumer.engine.committed import Committed, read_committed
from consumer.engine.takeover import HistoryEntry, Takeover
from schemas.outcome import Ended, OutcomeKind, Taken

ME = "me"


def ended(offset: int, identity: str = "") -> Ended:
    """Give the outcome of the event at an offset."""
    return Ended(
        offset=offset,
        id=identity or f"event-{offset}",
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=1,
        member="another",
    )


def entry(position: int, record: Ended | Taken) -> HistoryEntry:
    """Place a record."""
    return HistoryEntry(position=position, record=record)


def rival(epoch: int) -> Taken:
    """Give another member's mark."""
    return Taken(epoch=epoch, member="another")


def claim_of(command: Command) -> Committed:
    """Read a claim as the next owner would."""
    assert isinstance(command, Claim)
    return read_committed(command.offset, command.metadata)


def begun(frontier: int = 10, epoch: int = 4, outcomes_from: int | None = 100) -> Takeover:
    """Begin to take over from what is committed."""
    return Takeover(Committed(frontier=frontier, epoch=epoch, outcomes_from=outcomes_from), ME)


def marked(takeover: Takeover, position: int) -> Command:
    """Claim, and mark at a position."""
    takeover.begin()
    takeover.claimed()
    return takeover.marked(position)


def test_it_claims_what_is_committed_with_the_next_epoch() -> None:
    """Frontier and read-back position stay: the claim only puts owners in a row."""
    assert claim_of(begun().begin()) == Committed(frontier=10, epoch=5, outcomes_from=100)


def test_the_claim_comes_before_the_mark() -> None:
    """So that whoever marks later has claimed later."""
    takeover = begun()
    takeover.begin()
    assert takeover.claimed() == Mark(taken=Taken(epoch=5, member=ME))


def test_it_reads_back_from_the_committed_position_to_its_own_mark() -> None:
    """Not to an end of the log that others move."""
    assert marked(begun(), 130) == ReadBack(start=100, until=130)


def test_what_ended_at_or_above_the_frontier_is_known_afterwards() -> None:
    """With whose outcome it is; what lies below the frontier is over."""
    takeover = begun()
    marked(takeover, 130)
    takeover.history_read([entry(100, ended(9)), entry(101, ended(10))])
    takeover.history_read([entry(110, ended(15)), entry(130, Taken(epoch=5, member=ME))])
    assert takeover.read_back() is None
    assert takeover.ended == {10: "event-10", 15: "event-15"}
    assert (takeover.epoch, takeover.mark, takeover.outcomes_from) == (5, 130, 100)


def test_marks_of_earlier_owners_are_no_rivals() -> None:
    """A lower epoch than ours has been replaced."""
    takeover = begun()
    marked(takeover, 130)
    takeover.history_read([entry(100, rival(3)), entry(105, rival(4))])
    assert takeover.read_back() is None


def test_a_rivals_mark_makes_it_claim_again_above_and_read_on_from_its_first_mark() -> None:
    """Even one of our own epoch: both of us believed to be next."""
    for epoch in (5, 9):
        takeover = begun()
        marked(takeover, 130)
        takeover.history_read([entry(110, ended(12)), entry(120, rival(epoch)), entry(130, rival(5))])
        again = takeover.read_back()
        assert again is not None
        assert claim_of(again) == Committed(frontier=10, epoch=epoch + 1, outcomes_from=100)
        assert takeover.claimed() == Mark(taken=Taken(epoch=epoch + 1, member=ME))
        assert takeover.marked(140) == ReadBack(start=131, until=140)
        takeover.history_read([entry(135, ended(14)), entry(140, Taken(epoch=epoch + 1, member=ME))])
        assert takeover.read_back() is None
        assert takeover.ended == {12: "event-12", 14: "event-14"}


def test_a_mark_that_landed_although_its_write_was_repeated_is_a_rivals() -> None:
    """Whose it is cannot be told from the epoch alone, and claiming once more costs little."""
    takeover = begun()
    takeover.begin()
    takeover.claimed()
    takeover.marked(131)
    takeover.history_read([entry(130, Taken(epoch=5, member=ME)), entry(131, Taken(epoch=5, member=ME))])
    again = takeover.read_back()
    assert again is not None
    assert claim_of(again).epoch == 6


def test_when_nothing_is_known_it_surveys_first_and_claims_above_every_mark() -> None:
    """The claim says that nothing is known yet, so that the next owner surveys too if this one dies."""
    takeover = begun(frontier=0, epoch=0, outcomes_from=None)
    assert takeover.begin() == Survey()
    takeover.history_read([entry(50, ended(3)), entry(51, rival(7)), entry(52, ended(4))])
    assert claim_of(takeover.surveyed(53)) == Committed(frontier=0, epoch=8, outcomes_from=None)
    assert takeover.claimed() == Mark(taken=Taken(epoch=8, member=ME))
    assert takeover.marked(60) == ReadBack(start=53, until=60)
    takeover.history_read([entry(53, ended(5)), entry(60, Taken(epoch=8, member=ME))])
    assert takeover.read_back() is None
    assert takeover.ended == {3: "event-3", 4: "event-4", 5: "event-5"}


def test_a_claim_that_nobody_followed_up_is_surveyed_again() -> None:
    """Its epoch counts all the same."""
    takeover = begun(frontier=0, epoch=8, outcomes_from=None)
    assert takeover.begin() == Survey()
    assert claim_of(takeover.surveyed(0)).epoch == 9


def test_reading_the_same_twice_changes_nothing() -> None:
    """A reading that breaks off is begun anew."""
    takeover = begun()
    marked(takeover, 130)
    for _ in range(2):
        takeover.history_read([entry(101, ended(10)), entry(130, Taken(epoch=5, member=ME))])
    assert takeover.read_back() is None
    assert takeover.ended == {10: "event-10"}

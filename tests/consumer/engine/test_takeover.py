"""Takeover, step by step: claim, mark, read back the parked log, then the outcomes."""

from dataclasses import replace

import pytest

from consumer.engine.commands import Claim, Command, Log, Mark, ReadBack
from consumer.engine.committed import Committed, read_committed
from consumer.engine.parking import ParkedEntry
from consumer.engine.takeover import Marks, OutcomeEntry, Takeover
from consumer.scratch import Scratch
from schemas.outcome import Ended, Taken
from schemas.parked import write_note
from tests.consumer.engine.given import ended, entry, park

ME = "me"
COMMITTED = Committed(frontier=10, epoch=4, outcomes_from=100, parked_from=200, parked_epoch=3)
UNKNOWN = Committed(frontier=0, epoch=0)
MARKS = Marks(outcomes=130, parked=230)


def outcome(position: int, record: Ended | Taken) -> OutcomeEntry:
    """Place a record in the outcomes log."""
    return OutcomeEntry(position=position, record=record)


def mark(position: int, epoch: int, member: str = "another") -> ParkedEntry:
    """Place a mark in the parked log."""
    note = Taken(epoch=epoch, member=member)
    return ParkedEntry(position=position, note=note, record=write_note(note))


def claim_of(command: Command | None) -> Committed:
    """Read a claim as the next owner would."""
    assert isinstance(command, Claim)
    return read_committed(command.offset, command.metadata)


def begun(committed: Committed = COMMITTED) -> tuple[Takeover, Scratch]:
    """Begin to take over from what is committed, up to the marks."""
    view = Scratch()
    takeover = Takeover(committed, ME, view)
    takeover.claim()
    takeover.claimed()
    return takeover, view


def test_it_claims_what_is_committed_with_the_next_epoch() -> None:
    """Frontier and read-back positions stay: the claim only puts owners in a row."""
    assert claim_of(Takeover(COMMITTED, ME, Scratch()).claim()) == Committed(
        frontier=10, epoch=5, outcomes_from=100, parked_from=200, parked_epoch=3
    )


def test_it_carries_on_where_the_group_began() -> None:
    """Nothing else says later what the group has to do with, and no owner is the last."""
    takeover, _ = begun(replace(COMMITTED, events_from=3))
    assert claim_of(takeover.claim()).events_from == takeover.events_from == 3


def test_the_claim_comes_before_the_mark() -> None:
    """So that whoever marks later has claimed later."""
    takeover = Takeover(COMMITTED, ME, Scratch())
    takeover.claim()
    assert takeover.claimed() == Mark(taken=Taken(epoch=5, member=ME))


def test_it_reads_both_logs_back_from_the_committed_positions_to_its_own_marks() -> None:
    """Not to an end of a log that others move."""
    takeover, _ = begun()
    assert takeover.marked(MARKS) == ReadBack(log=Log.PARKED, start=200, until=230)
    takeover.parked_read([mark(230, 5, ME)])
    assert takeover.read_back() == ReadBack(log=Log.OUTCOMES, start=100, until=130)
    takeover.outcomes_read([outcome(130, Taken(epoch=5, member=ME))])
    assert takeover.read_back() is None
    assert (takeover.epoch, takeover.marks, takeover.outcomes_from) == (5, MARKS, 100)


def test_what_ended_at_or_above_the_frontier_is_known_afterwards() -> None:
    """With whose outcome it is; what lies below the frontier is over."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.read_back()
    for _ in range(2):  # a reading that breaks off is begun anew
        takeover.outcomes_read([outcome(100, ended(9)), outcome(101, ended(10))])
        takeover.outcomes_read([outcome(110, ended(15)), outcome(130, Taken(epoch=5, member=ME))])
    assert takeover.read_back() is None
    assert [view.ended_id(offset) for offset in (9, 10, 14, 15)] == [None, "event-10", None, "event-15"]
    assert view.highest_known() == (15, -1)


def test_what_is_parked_and_ended_is_known_whatever_its_offset() -> None:
    """Its outcome was written and nobody came to settle it: it must not be called again."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.parked_read([entry(210, park(3, epoch=4)), entry(211, park(5, epoch=4)), mark(230, 5, ME)])
    takeover.read_back()
    takeover.outcomes_read([outcome(120, ended(5))])
    assert takeover.read_back() is None
    assert view.ended_and_parked() == [(5, 120)]


def test_the_outcome_of_another_event_at_the_same_offset_settles_nothing() -> None:
    """The source topic was deleted and made anew; its outcomes were not."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.parked_read([entry(210, park(5, epoch=4))])
    takeover.read_back()
    takeover.outcomes_read([outcome(120, ended(5, "of the old topic"))])
    assert view.ended_and_parked() == []


def test_what_is_void_at_the_committed_position_is_void_though_its_mark_lies_before_it() -> None:
    """Nothing was parked, so the log is read from where it ended; a member that had been replaced wrote there."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.parked_read([entry(200, park(3, epoch=2)), entry(201, park(4, epoch=3))])
    assert [view.id_at(3), view.id_at(4)] == [None, "event-4"]


def test_marks_of_earlier_owners_are_no_rivals() -> None:
    """A lower epoch than ours has been replaced."""
    takeover, _ = begun()
    takeover.marked(MARKS)
    takeover.parked_read([mark(201, 3), mark(205, 4), mark(230, 5, ME)])
    assert isinstance(takeover.read_back(), ReadBack)
    takeover.outcomes_read([outcome(100, Taken(epoch=3, member="another")), outcome(105, Taken(epoch=4, member=ME))])
    assert takeover.read_back() is None


@pytest.mark.parametrize("epoch", [5, 9])
def test_a_rivals_mark_in_the_parked_log_makes_it_claim_again_above(epoch: int) -> None:
    """Even one of our own epoch: both of us believed to be next. The parked log is read on, the outcomes from X."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.parked_read([entry(210, park(3, epoch=4)), mark(220, epoch), mark(230, 5, ME)])
    assert claim_of(takeover.read_back()).epoch == epoch + 1
    assert takeover.claimed() == Mark(taken=Taken(epoch=epoch + 1, member=ME))
    again = Marks(outcomes=140, parked=240)
    assert takeover.marked(again) == ReadBack(log=Log.PARKED, start=231, until=240)
    takeover.parked_read([entry(235, park(4, epoch=epoch)), mark(240, epoch + 1, ME)])
    assert takeover.read_back() == ReadBack(log=Log.OUTCOMES, start=100, until=140)
    assert takeover.read_back() is None
    assert view.count == 2


def test_a_rivals_mark_in_the_outcomes_alone_makes_it_read_both_logs_again() -> None:
    """An event that the rival parked behind our mark may have its outcome before it, or after."""
    takeover, view = begun()
    takeover.marked(MARKS)
    takeover.parked_read([mark(230, 5, ME)])
    takeover.read_back()
    takeover.outcomes_read([outcome(125, Taken(epoch=5, member="another")), outcome(126, ended(3))])
    assert claim_of(takeover.read_back()).epoch == 6
    takeover.claimed()
    assert takeover.marked(Marks(outcomes=140, parked=240)) == ReadBack(log=Log.PARKED, start=231, until=240)
    takeover.parked_read([mark(231, 5), entry(235, park(3, epoch=5)), mark(240, 6, ME)])
    assert takeover.read_back() == ReadBack(log=Log.OUTCOMES, start=100, until=140)
    takeover.outcomes_read([outcome(126, ended(3)), outcome(140, Taken(epoch=6, member=ME))])
    assert takeover.read_back() is None
    assert view.ended_and_parked() == [(3, 126)]


def test_a_mark_that_landed_although_its_write_was_repeated_is_a_rivals() -> None:
    """Whose it is cannot be told from the epoch alone, and claiming once more costs little."""
    takeover, _ = begun()
    takeover.marked(Marks(outcomes=130, parked=231))
    takeover.parked_read([mark(230, 5, ME), mark(231, 5, ME)])
    assert claim_of(takeover.read_back()).epoch == 6


def test_when_nothing_is_known_the_parked_log_says_what_to_claim() -> None:
    """The claim says that nothing is known yet, so that the next owner reads everything too if this one dies."""
    takeover, _ = begun(UNKNOWN)
    assert takeover.epoch == 1
    assert takeover.marked(Marks(outcomes=60, parked=70)) == ReadBack(log=Log.PARKED, start=0, until=70)
    takeover.parked_read([mark(50, 7), mark(70, 1, ME)])
    assert claim_of(takeover.read_back()) == Committed(frontier=0, epoch=8)
    takeover.claimed()
    assert takeover.marked(Marks(outcomes=61, parked=71)) == ReadBack(log=Log.PARKED, start=71, until=71)
    takeover.parked_read([mark(71, 8, ME)])
    assert takeover.read_back() == ReadBack(log=Log.OUTCOMES, start=0, until=61)
    assert takeover.read_back() is None


def test_what_was_parked_before_the_metadata_was_lost_still_counts() -> None:
    """An offset reset forgets nothing: the epoch that is claimed first is too low, and voids nothing."""
    takeover, view = begun(UNKNOWN)
    takeover.marked(Marks(outcomes=60, parked=70))
    takeover.parked_read([mark(50, 7), entry(51, park(3, epoch=7)), mark(70, 1, ME)])
    takeover.read_back()
    takeover.claimed()
    takeover.marked(Marks(outcomes=61, parked=71))
    takeover.parked_read([mark(71, 8, ME)])
    assert view.count == 1

"""Parking: how the journal is folded, whose turn is next, and what of the log still counts."""

from dataclasses import replace

import pytest

from consumer.engine.commands import WritePark
from consumer.engine.doors import Doors
from consumer.engine.parking import Journal, ParkedEntry, Parking
from consumer.scratch import Scratch
from schemas.outcome import Taken
from schemas.parked import Park, Settle, read_note, write_note
from schemas.record import to_record
from tests.consumer.engine.given import entry, park, record_of, waiting
from tests.consumer.fakes import received

ONE, TWO, BLUE = b"acme/one", b"acme/two", b"blue/one"


def note(position: int, written: Taken | Settle) -> ParkedEntry:
    """Place a note that comes without an event."""
    return ParkedEntry(position=position, note=written, record=write_note(written))


def folded(*entries: ParkedEntry, epoch: int = 0) -> Scratch:
    """Fold a log."""
    view = Scratch()
    Journal(view, epoch).fold(entries)
    return view


def parking(*entries: ParkedEntry, epoch: int = 7, mark: int = 50) -> Parking:
    """Give what a takeover finds, up to its mark."""
    begun = Parking(folded(*entries))
    begun.begin(epoch, mark)
    return begun


def note_of(write: WritePark) -> Park:
    """Read what is to be written."""
    written = read_note(received(write.record, 0, 0))[0]
    assert isinstance(written, Park)
    return written


def turn(of: Parking, now: int = 99, below: int = 99) -> int | None:
    """Take the next turn."""
    taken = of.take_turn(now, below, Doors())
    return None if taken is None else taken[0].note.offset


def test_what_a_member_parks_after_it_was_replaced_is_void() -> None:
    """Its commit was refused, so the new owner handles the event itself."""
    view = folded(note(0, Taken(epoch=5, member="b")), entry(1, park(8, epoch=4)), entry(2, park(9, epoch=5)))
    assert [view.id_at(8), view.id_at(9)] == [None, "event-9"]


def test_a_lower_mark_changes_nothing() -> None:
    """It comes from a member that had been replaced before it could write."""
    later = folded(
        *(note(at, Taken(epoch=epoch, member="b")) for at, epoch in ((0, 5), (1, 4))), entry(2, park(8, epoch=4))
    )
    assert later.count == 0


def test_the_epoch_at_the_beginning_counts_although_its_mark_is_deleted() -> None:
    """The log is cut at the oldest record that counts; the commit says which epoch was current there."""
    assert folded(entry(3, park(8, epoch=4)), epoch=5).count == 0
    assert folded(entry(3, park(8, epoch=5)), epoch=5).count == 1


def test_a_park_proves_its_epoch_where_nothing_is_committed() -> None:
    """After an offset reset only the log can say it, and the mark may have been deleted."""
    assert folded(entry(3, park(8, epoch=5)), entry(4, park(9, epoch=4))).id_at(9) is None


def test_an_event_that_is_parked_again_is_the_later_one() -> None:
    """With its new time, at its new place."""
    view = folded(entry(0, park(8, due=1)), entry(1, park(9)), entry(2, park(8, due=5)))
    event = view.event(8)
    assert event is not None
    assert (event.note.due, view.count, view.oldest()) == (5, 2, (1, 1))


def test_what_is_settled_is_gone_whoever_settled_it() -> None:
    """A settle is a fact: it is written only when the outcome is durable."""
    view = folded(
        entry(0, park(8)), note(1, Taken(epoch=5, member="b")), note(2, Settle(offset=8)), note(3, Settle(offset=4))
    )
    assert view.count == 0


def test_reading_a_stretch_again_changes_nothing() -> None:
    """A reading that breaks off is begun anew; an event parked after it was settled must not be settled by that."""
    view = Scratch()
    journal = Journal(view, 0)
    stretch = [
        entry(0, park(8)),
        note(1, Settle(offset=8)),
        entry(2, park(8, due=5)),
        note(3, Taken(epoch=6, member="b")),
    ]
    for upto in (2, 4, 4, 3):
        journal.fold(stretch[:upto])
    event = view.event(8)
    assert event is not None
    assert (event.note.due, view.count, journal.epoch) == (5, 1, 6)


def test_what_ended_and_is_parked_is_settled_at_the_takeover() -> None:
    """Its owner died in between; until that is acknowledged both its records count."""
    view = folded(entry(10, park(3)), entry(11, park(4)))
    view.add_ended([(3, "event-3", 77)], 0)
    begun = Parking(view)
    (settle,) = begun.begin(7, 50)
    assert read_note(received(settle.record, 0, 0))[0] == Settle(offset=3)
    assert (begun.count, begun.outcomes_from(), begun.counts_from()) == (1, 77, (10, 1))
    begun.settled(3, 51)
    assert (begun.count, begun.outcomes_from(), begun.counts_from(), begun.end) == (1, None, (11, 1), 52)
    assert turn(begun) == 4


def test_a_lane_is_taken_in_order_of_its_offsets_and_one_at_a_time() -> None:
    """Wherever in the log they lie, and whatever is due (promise 4)."""
    parked = parking(entry(10, park(4, due=1)), entry(11, park(3, due=2)))
    assert turn(parked, now=1) is None
    assert turn(parked, now=2) == 3
    assert turn(parked) is None
    parked.ended(3)
    parked.offer(ONE)
    assert turn(parked) == 4


def test_between_lanes_of_a_tenant_the_one_due_for_longest_comes_first() -> None:
    """And among equals the lowest offset."""
    parked = parking(
        *(entry(at, park(at, due=due), lane) for at, due, lane in ((1, 9, ONE), (2, 5, TWO), (3, 5, b"acme/three")))
    )
    assert [turn(parked) for _ in range(4)] == [2, 3, 1, None]


def test_tenants_take_turns() -> None:
    """However much one of them has waiting, and for how long (promise 11)."""
    loud = [entry(at, park(at), b"acme/%d" % at) for at in range(5)]
    parked = parking(*loud, *(entry(at, park(at, due=at), b"blue/%d" % at) for at in (5, 6)))
    assert [turn(parked) for _ in range(7)] == [0, 5, 1, 6, 2, 3, 4]


def test_an_event_waits_until_the_source_has_been_read_past_it() -> None:
    """An earlier event of its lane may come yet; other tenants do not wait for that."""
    parked = parking(entry(10, park(8), ONE), entry(11, park(5), BLUE))
    assert [turn(parked, below=8), turn(parked, below=8), turn(parked, below=9)] == [5, None, 8]


def test_nobody_is_called_while_it_is_being_written() -> None:
    """Neither when it is parked first, nor when it is parked again."""
    parked = parking()
    parked.park(park(8, epoch=7), record_of(8))
    parked.offer(ONE)
    assert turn(parked) is None
    assert parked.written(8, 51) == (ONE, True)
    parked.offer(ONE)
    assert turn(parked) == 8
    parked.park_again(park(8, epoch=7, due=3))
    parked.offer(ONE)
    assert turn(parked) is None
    assert parked.written(8, 52) == (ONE, False)
    parked.offer(ONE)
    assert [turn(parked, now=2), turn(parked, now=3)] == [None, 8]
    assert parked.writing == 0


def test_an_earlier_event_of_the_lane_takes_the_turn_away() -> None:
    """It was read after a takeover, and comes before what was parked."""
    parked = parking(entry(10, park(8)))
    parked.park(park(5, epoch=7), record_of(5))
    assert turn(parked) is None
    parked.written(5, 51)
    parked.offer(ONE, 5)
    assert turn(parked) == 5


def test_a_turn_that_was_just_offered_is_taken_away_as_well() -> None:
    """Not only one that was found at the takeover."""
    parked = parking()
    parked.park(park(8, epoch=7), record_of(8))
    parked.written(8, 51)
    parked.offer(ONE, 8)
    parked.park(park(5, epoch=7), record_of(5))
    assert turn(parked) is None


def test_a_lane_is_parked_while_anything_of_it_waits_or_is_being_parked() -> None:
    """Whatever is read of it has to be parked as well (promise 4)."""
    parked = parking()
    assert not parked.holds(ONE)
    parked.park(park(8, epoch=7), record_of(8))
    assert [parked.holds(ONE), parked.holds(TWO)] == [True, False]
    parked.written(8, 51)
    assert parked.holds(ONE)
    parked.ended(8)
    assert not parked.holds(ONE)
    parked.settle(8, 20)
    assert (parked.holds(ONE), parked.count, parked.counts_from()) == (False, 0, (51, 7))
    parked.settled(8, 52)
    assert (parked.counts_from(), parked.size) == ((53, 7), 0)


def test_only_an_equal_body_behind_in_the_same_lane_covers() -> None:
    """The later call covers both; an earlier one does not."""
    parked = parking()
    for offset, lane, body in ((1, ONE, b"a"), (2, TWO, b"a"), (3, ONE, b"b"), (4, ONE, b"a")):
        parked.park(park(offset, epoch=7), record_of(offset, lane, body=body))
    assert [parked.is_covered(offset) for offset in (1, 2, 3, 4)] == [True, False, False, False]


def test_what_was_sent_again_for_another_group_covers_nothing_that_is_parked() -> None:
    """As in memory: it is ignored here, and what it covered would never be called."""
    parked = parking()
    event = waiting(1, body=b"a").event
    for offset, group in ((1, None), (2, "other"), (3, None)):
        record = to_record(replace(event, generation=1 if group else 0, group=group))
        parked.park(park(offset, epoch=7), record)
        assert [parked.is_covered(at) for at in range(1, offset)] == [offset == 3] * (offset - 1)


def test_nothing_parked_counts_from_the_end_of_the_log() -> None:
    """Under our own epoch, since our mark lies before it."""
    parked = parking()
    assert parked.counts_from() == (51, 7)
    parked.park(park(8, epoch=7), record_of(8))
    assert parked.counts_from() == (51, 7)
    parked.written(8, 60)
    assert (parked.counts_from(), parked.end) == ((60, 7), 61)


def test_what_keeps_the_log_long_is_parked_again_as_it_is_under_our_own_epoch() -> None:
    """So that what lies before it can be deleted: its note says the same, but for who wrote it."""
    parked = parking(entry(10, park(3, epoch=2, due=4)), entry(40, park(4, epoch=6), TWO), mark=50)
    assert parked.stale(span=37, most=9) == ()
    assert [event.note.offset for event in parked.stale(span=36, most=9)] == [3, 4]
    (oldest,) = parked.stale(span=36, most=1)
    assert note_of(parked.rewrite(oldest)) == park(3, epoch=7, due=4)
    assert [event.note.offset for event in parked.stale(span=36, most=9)] == [4]  # what is on its way is left alone
    assert parked.stale(span=36, most=1) == ()  # and only so much at once
    assert (parked.counts_from(), turn(parked)) == ((10, 2), 4)
    assert parked.written(3, 51) == (ONE, False)
    assert parked.counts_from() == (40, 6)
    parked.offer(ONE, 3)
    assert turn(parked) == 3


def test_parking_again_what_is_not_its_lanes_head_leaves_the_turn_alone() -> None:
    """Nobody would give it back."""
    parked = parking(entry(10, park(5)), entry(11, park(3)), mark=50)
    (behind,) = parked.stale(span=0, most=1)
    assert behind.note.offset == 5
    parked.rewrite(behind)
    parked.written(5, 51)
    parked.offer(ONE, 5)
    assert turn(parked) == 3


def test_the_more_waits_the_longer_the_log_may_be() -> None:
    """Or a large outage would have everything written again and again."""
    entries = [entry(at, park(at), b"acme/%d" % at) for at in range(10)]
    assert parking(*entries, mark=29).stale(span=10, most=9) == ()
    assert len(parking(*entries, mark=30).stale(span=10, most=9)) == 9


def test_who_is_not_parked_has_no_past() -> None:
    """It is a fault of the driver's, and is named."""
    with pytest.raises(LookupError, match="offset 3 is not parked"):
        parking().park_again(park(3))

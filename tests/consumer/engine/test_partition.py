"""The engine of a partition at its edges; tests/consumer/engine/test_machine.py has the whole of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consumer.engine.commands import Command, Pause, Read, Start, WriteDead, WriteOutcome, WritePark, WriteSettle
from consumer.engine.committed import Committed
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds
from consumer.scratch import Scratch
from schemas.errors import Permanent
from schemas.outcome import OutcomeKind
from schemas.parked import Park, Why, read_note
from tests.consumer.engine.given import (
    PLACE,
    POLICY,
    REFUSED,
    WIDE,
    applied,
    ended,
    entry,
    failed,
    ignored,
    park,
    record_of,
    running,
    unreadable,
    waiting,
)
from tests.consumer.fakes import SYNC, received

TWO = b"acme/two"


def starts(commands: Sequence[Command]) -> list[int]:
    """List the offsets that start."""
    return [command.waiting.offset for command in commands if isinstance(command, Start)]


def parks(commands: Sequence[Command]) -> list[tuple[int, Why]]:
    """List the offsets that are parked, and why."""
    return [(note.offset, note.reason) for command in commands if (note := note_of(command)) is not None]


def note_of(command: Command) -> Park | None:
    """Read what is parked."""
    note = read_note(received(command.record, 0, 0))[0] if isinstance(command, WritePark) else None
    return note if isinstance(note, Park) else None


def outcomes(commands: Sequence[Command]) -> list[tuple[int, OutcomeKind]]:
    """List the offsets that ended, and how."""
    return [(each.ended.offset, each.ended.outcome) for each in commands if isinstance(each, WriteOutcome)]


def committable(engine: PartitionEngine) -> Committed:
    """Say what may be committed."""
    assert engine.committable is not None
    return engine.committable


def test_an_event_that_ended_before_is_not_handled_again() -> None:
    """Promise 7; the frontier passes it."""
    engine = running(ended(0), ended(1))
    assert starts(engine.records_read([waiting(0), waiting(1), waiting(2)], 0)) == [2]
    assert committable(engine).frontier == 2


def test_an_outcome_of_another_event_at_the_same_offset_ends_nothing() -> None:
    """The source topic was deleted and made anew, its outcomes were not: no event of the new one may be lost."""
    engine = running(ended(0, "of the old topic"), ended(1))
    assert starts(engine.records_read([waiting(0), waiting(1)], 0)) == [0]
    assert committable(engine).frontier == 0


def test_another_event_than_the_parked_one_stops_the_partition() -> None:
    """The source topic was deleted and made anew: to guess which of the two counts could lose one."""
    engine = running(parked=(entry(0, park(1, identity="of the old topic")),))
    with pytest.raises(Permanent, match=r"offset 1 .* deleted and made anew"):
        engine.records_read([waiting(0), waiting(1)], 0)


def test_a_parked_event_is_settled_for_the_source_and_has_its_turn_once_that_is_read() -> None:
    """An earlier event of its lane may still come: then that one is first (promise 4)."""
    engine = running(parked=(entry(0, park(1)),))
    assert starts(engine.tick(1)) == []
    commands = engine.records_read([waiting(0), waiting(1), waiting(2)], 1)
    assert parks(commands) == [(0, Why.BEHIND), (2, Why.BEHIND)]
    assert committable(engine).frontier == 0
    assert starts(engine.park_written(2, 5)) == []
    assert starts(engine.park_written(0, 6)) == [0]
    assert committable(engine).frontier == 3


@pytest.mark.parametrize(
    ("bounds", "full"),
    [
        (replace(WIDE, events=4), 4),
        (replace(WIDE, bytes=40), 4),
        (replace(WIDE, distance=4), 4),
    ],
)
def test_reading_pauses_at_each_bound_and_goes_on_well_below_it(bounds: Bounds, full: int) -> None:
    """Promise 9: by count, by bytes, and by the distance from the frontier; once each."""
    engine = running(bounds=bounds)
    for offset in range(full):
        assert (Pause() in engine.records_read([waiting(offset)], 0)) is (offset == full - 1)
    assert Pause() not in engine.records_read([waiting(full)], 0)  # was under way already
    resumed = []
    for offset in range(full + 1):
        engine.call_ended(waiting(offset), applied())
        resumed.append(Read() in engine.outcome_written(offset, 100 + offset))
    assert resumed == [False, False, True, False, False]


def test_reading_pauses_while_too_much_is_being_parked_and_goes_on_when_that_is_written() -> None:
    """A parked log that takes nothing must not let memory fill (promise 9)."""
    engine = running(bounds=replace(WIDE, events=4), parked=(entry(0, park(0)),))
    assert Pause() not in engine.records_read([waiting(0), waiting(1), waiting(2), waiting(3)], 0)
    assert Pause() in engine.records_read([waiting(4)], 0)
    assert [Read() in engine.park_written(offset, 10 + offset) for offset in (1, 2)] == [False, True]


def test_reading_pauses_when_the_scratch_is_full_and_goes_on_when_it_has_been_drained() -> None:
    """Promise 9: on disk, too."""
    scratch = Scratch()
    scratch.put(park(0), record_of(0), 0)
    engine = running(parked=(entry(0, park(0)),), bounds=replace(WIDE, scratch=4 * scratch.size))
    (start,) = engine.records_read([waiting(0)], 0) + engine.tick(0)
    assert isinstance(start, Start)
    assert Pause() in engine.records_read([waiting(1), waiting(2), waiting(3)], 0)
    assert not any(Read() in engine.park_written(offset, 10 + offset) for offset in (1, 2, 3))
    engine.call_ended(start.waiting, applied())
    assert Read() not in engine.outcome_written(0, 10)
    assert Read() in engine.settle_written(0, 20)


def test_bounds_that_become_narrower_hold_from_the_next_batch_on() -> None:
    """Another partition came, and all of them share what one process may hold."""
    engine = running()
    engine.records_read([waiting(0), waiting(1)], 0)
    engine.bounds = replace(WIDE, events=3)
    assert Pause() in engine.records_read([waiting(2)], 0)


def test_the_next_of_a_lane_waits_for_the_outcome_unless_it_was_applied() -> None:
    """After an ignored event the next owner must not see the lane go on without it."""
    engine = running()
    engine.records_read([waiting(0), waiting(1), waiting(2)], 0)
    assert starts(engine.call_ended(waiting(0), applied())) == [1]
    assert starts(engine.call_ended(waiting(1), ignored())) == []
    assert starts(engine.outcome_written(0, 10)) == []
    assert starts(engine.outcome_written(1, 11)) == [2]


def test_what_cannot_be_read_is_buried_and_then_ends() -> None:
    """The letter first: an outcome may not say what is not so. The frontier waits for both (promise 12)."""
    engine = running()
    (letter,) = engine.records_read([unreadable(0)], 5)
    assert isinstance(letter, WriteDead)
    (outcome,) = engine.dead_written(0)
    assert isinstance(outcome, WriteOutcome)
    assert (outcome.ended.id, outcome.ended.outcome, outcome.ended.ended) == ("", OutcomeKind.DEAD, 5)
    assert committable(engine).frontier == 0
    engine.outcome_written(0, 10)
    assert committable(engine).frontier == 1


def test_what_could_not_be_read_before_is_not_buried_twice() -> None:
    """Its outcome has no id, like that of any other; it is its place that counts."""
    engine = running(ended(0, ""))
    assert engine.records_read([unreadable(0)], 5) == []


def test_a_lane_that_failed_is_parked_as_a_whole_and_in_order() -> None:
    """The failed event and what waits behind it; others go on. Nothing of it is in memory any more."""
    engine = running()
    engine.records_read([waiting(0), waiting(1), waiting(2, TWO), waiting(3)], 0)
    commands = engine.call_ended(waiting(0), failed(attempts=5, at=50))
    assert parks(commands) == [(0, Why.FAILED), (1, Why.BEHIND), (3, Why.BEHIND)]
    note = note_of(commands[0])
    assert note is not None
    assert (note.due, note.attempts, note.turns, note.called, note.since, note.error) == (10_050, 5, 0, 50, 50, "503")
    assert (engine.held, engine.parked) == (1, 3)
    assert parks(engine.records_read([waiting(4)], 60)) == [(4, Why.BEHIND)]


def test_the_frontier_passes_what_is_parked_once_that_is_acknowledged() -> None:
    """And not before (promise 5); the next owner finds it from there on."""
    engine = running()
    engine.records_read([waiting(0), waiting(1)], 0)
    engine.call_ended(waiting(0), failed())
    frontiers = [committable(engine).frontier]
    for offset in (0, 1):
        engine.park_written(offset, 5 + offset)
        frontiers.append(committable(engine).frontier)
    assert frontiers == [0, 1, 2]
    assert (committable(engine).parked_from, committable(engine).parked_epoch) == (5, 2)


def failing(*offsets: int) -> PartitionEngine:
    """Give an engine in which the first of these events failed at 0, and all of them are parked."""
    engine = running()
    engine.records_read([waiting(offset) for offset in offsets], 0)
    engine.call_ended(waiting(offsets[0]), failed(at=0))
    for offset in offsets:
        engine.park_written(offset, 5 + offset)
    return engine


def turn(engine: PartitionEngine, now: int) -> Start:
    """Wait for the only turn that comes."""
    (start,) = engine.tick(now)
    assert isinstance(start, Start)
    return start


def test_a_parked_event_has_its_turn_when_it_is_due_and_its_lane_follows_in_order() -> None:
    """One attempt each, and the next as soon as that is applied (promise 4)."""
    engine = failing(0, 1)
    assert engine.tick(9_999) == []
    first = turn(engine, 10_000).waiting
    assert (first.offset, first.parked, first.tried.attempts) == (0, True, 1)
    commands = engine.call_ended(first, applied(10_001))
    assert (outcomes(commands), starts(commands)) == ([(0, OutcomeKind.APPLIED)], [1])


def test_a_turn_that_fails_is_parked_again_later() -> None:
    """The backoff of what is parked begins anew, and doubles."""
    engine = failing(0)
    dues = []
    for now in (10_000, 30_000):
        note = note_of(engine.call_ended(turn(engine, now).waiting, failed(at=now))[0])
        assert note is not None
        dues.append((note.due, note.attempts, note.turns, note.called, note.since))
        engine.park_written(0, 10)
    assert dues == [(30_000, 2, 1, 0, 0), (70_000, 3, 2, 0, 0)]


def test_an_outcome_of_a_parked_event_is_followed_by_its_settle() -> None:
    """Both records count until that is acknowledged; then nothing of it does."""
    engine = failing(0)
    engine.call_ended(turn(engine, 10_000).waiting, applied())
    (settle,) = engine.outcome_written(0, 30)
    assert isinstance(settle, WriteSettle)
    assert (committable(engine).outcomes_from, committable(engine).parked_from) == (30, 5)
    engine.settle_written(0, 8)
    assert (committable(engine).outcomes_from, committable(engine).parked_from) == (31, 9)


def test_what_will_never_work_is_given_up_at_once() -> None:
    """A dead letter, its outcome, and only then the lane goes on; nothing of it is parked."""
    engine = running()
    engine.records_read([waiting(0), waiting(1)], 0)
    (letter,) = engine.call_ended(waiting(0), failed(REFUSED))
    assert isinstance(letter, WriteDead)
    commands = engine.dead_written(0)
    assert (outcomes(commands), starts(commands)) == ([(0, OutcomeKind.DEAD)], [])
    assert starts(engine.outcome_written(0, 10)) == [1]


def test_what_was_tried_often_enough_is_given_up() -> None:
    """And its lane goes on."""
    engine = failing(0, 1)
    commands: list[Command] = []
    for position, now in enumerate((100_000, 200_000, 300_000)):
        commands = engine.call_ended(turn(engine, now).waiting, failed(at=now))
        if parks(commands):
            engine.park_written(0, 10 + position)
    assert isinstance(commands[0], WriteDead)
    engine.dead_written(0)
    assert starts(engine.outcome_written(0, 30)) == [1]


def test_a_lane_with_too_much_waiting_is_parked_behind_its_head() -> None:
    """One hot connection does not fill memory; its head is called all the same."""
    engine = running(policy=replace(POLICY, lane_waiting=2))
    commands = engine.records_read([waiting(offset) for offset in range(5)], 0)
    assert starts(commands) == [0]
    assert parks(commands) == [(1, Why.LANE_FULL), (2, Why.LANE_FULL), (3, Why.LANE_FULL), (4, Why.BEHIND)]
    for offset in range(1, 5):
        assert starts(engine.park_written(offset, 5 + offset)) == []
    assert starts(engine.call_ended(waiting(0), applied())) == [1]


def test_a_tenant_beyond_its_share_is_parked_so_that_reading_reaches_others() -> None:
    """New lanes as a whole, and what waits in lanes that are here (promise 11)."""
    engine = running(policy=replace(POLICY, tenant_share=0.5), bounds=replace(WIDE, events=4))
    commands = engine.records_read([waiting(0), waiting(1), waiting(2, TWO), waiting(3), waiting(4, b"blue/one")], 0)
    assert starts(commands) == [0, 4]
    assert parks(commands) == [(2, Why.TENANT_FULL), (1, Why.TENANT_FULL), (3, Why.TENANT_FULL)]


def test_with_a_whole_share_nothing_is_parked_for_it() -> None:
    """A single tenant would otherwise be parked for nobody's sake."""
    engine = running(policy=replace(POLICY, tenant_share=1), bounds=replace(WIDE, events=2))
    assert parks(engine.records_read([waiting(0), waiting(1), waiting(2)], 0)) == []


def test_what_is_covered_in_memory_is_settled_at_once_and_the_last_of_it_keeps_the_lane() -> None:
    """Until all of it is durable, since the next owner must not see the lane go on without it."""
    engine = running(policy=replace(POLICY, supersede=frozenset({SYNC})))
    events = [waiting(offset, body=b"same") for offset in range(4)]
    engine.records_read(events, 0)
    commands = engine.superseded(events[0], 9)
    assert outcomes(commands) == [(offset, OutcomeKind.SUPERSEDED) for offset in range(3)]
    assert [starts(engine.outcome_written(offset, 10 + offset)) for offset in (1, 0, 2)] == [[], [], [3]]
    assert engine.superseded(events[3], 9) == []


def test_a_parked_event_is_covered_by_one_parked_behind_it() -> None:
    """An outage of an hour is made up for with one call for each state of a connection."""
    engine = running(policy=replace(POLICY, supersede=frozenset({SYNC})), parked=(entry(0, park(0)),))
    engine.records_read([replace(waiting(0), lane=b"acme/one"), waiting(1, body=waiting(0).event.body)], 0)
    (start,) = engine.park_written(1, 5)
    assert isinstance(start, Start)
    assert outcomes(engine.superseded(start.waiting, 9)) == [(0, OutcomeKind.SUPERSEDED)]
    assert starts(engine.outcome_written(0, 10)) == [1]


def test_what_the_handler_would_not_call_for_is_not_superseded() -> None:
    """Each of them is to be seen as ignored, however many say the same."""
    engine = running(policy=replace(POLICY, supersede=frozenset({"another.type"})))
    events = [waiting(offset, body=b"same") for offset in range(3)]
    engine.records_read(events, 0)
    assert engine.superseded(events[0], 0) == []


def test_an_event_that_was_called_is_never_superseded() -> None:
    """Its call may have had its effect: its outcome would say that it was not made."""
    engine = running(policy=replace(POLICY, supersede=frozenset({SYNC})))
    events = [waiting(offset, body=b"same") for offset in range(2)]
    engine.records_read(events, 0)
    engine.call_ended(events[0], failed(at=0))
    for offset in range(2):
        engine.park_written(offset, 5 + offset)
    assert engine.superseded(turn(engine, 10_000).waiting, 10_000) == []


def test_without_the_handlers_leave_nothing_is_superseded() -> None:
    """Handlers opt in."""
    engine = running()
    events = [waiting(offset, body=b"same") for offset in range(2)]
    engine.records_read(events, 0)
    assert engine.superseded(events[0], 9) == []


def test_no_more_parked_events_are_called_at_once_than_may_be() -> None:
    """The rest have their turns as these end."""
    lanes = [b"acme/%d" % number for number in range(4)]
    engine = running(
        parked=tuple(entry(at, park(at), lane) for at, lane in enumerate(lanes)), bounds=replace(WIDE, turns=2)
    )
    engine.records_read([waiting(at, lane) for at, lane in enumerate(lanes)], 0)
    begun = engine.tick(1)
    assert starts(begun) == [0, 1]
    assert isinstance(begun[0], Start)
    assert starts(engine.call_ended(begun[0].waiting, applied())) == [2]


def test_a_turn_that_fails_gives_its_place_to_another() -> None:
    """Or one broken connection would keep all that is parked from being called."""
    engine = running(parked=(entry(0, park(0, due=5)), entry(1, park(1, due=6), TWO)), bounds=replace(WIDE, turns=1))
    engine.records_read([waiting(0), waiting(1, TWO)], 0)
    commands = engine.call_ended(turn(engine, 10).waiting, failed(at=10))
    assert (parks(commands), starts(commands)) == ([(0, Why.FAILED)], [1])


def test_who_has_its_turn_is_not_parked_again_in_the_same_moment() -> None:
    """It would be called while it is being written."""
    engine = running(parked=(entry(0, park(0, due=1_000)),), policy=replace(POLICY, parked_span=10))
    engine.records_read([waiting(0), waiting(1, TWO)], 0)
    engine.call_ended(waiting(1, TWO), failed(at=0))
    engine.park_written(1, 100)
    commands = engine.tick(1_000)
    assert (starts(commands), parks(commands)) == ([0], [(1, Why.FAILED)])


def test_the_parked_log_may_be_deleted_up_to_what_counts_and_never_past_our_mark() -> None:
    """The mark is what tells the next owner which epoch to claim, should the metadata be lost."""
    engine = running(parked=(entry(0, park(0)), entry(1, park(1), TWO)))
    assert engine.deletable(committable(engine)) == 0
    assert engine.deletable(replace(committable(engine), parked_from=1)) == 1
    assert engine.deletable(replace(committable(engine), parked_from=50)) == 2
    assert engine.deletable(Committed(frontier=0, epoch=1)) == 0


def test_after_letting_go_nothing_may_start_and_nothing_is_parked() -> None:
    """What ended meanwhile still counts; what failed is the next owner's."""
    engine = running()
    engine.records_read([waiting(0), waiting(1, TWO)], 0)
    assert engine.may_start
    engine.let_go()
    assert not engine.may_start
    engine.call_ended(waiting(0), applied())
    engine.outcome_written(0, 10)
    assert engine.call_ended(waiting(1, TWO), failed()) == []
    assert engine.tick(1_000_000) == []
    assert committable(engine) == Committed(frontier=1, epoch=2, outcomes_from=1, parked_from=1, parked_epoch=2)


def test_every_commit_carries_on_where_the_group_began() -> None:
    """However far the frontier has gone by then."""
    engine = running(events_from=0)
    engine.records_read([waiting(0)], 0)
    engine.call_ended(waiting(0), applied())
    engine.outcome_written(0, 10)
    assert (committable(engine).frontier, committable(engine).events_from) == (1, 0)


def test_before_the_takeover_is_done_nothing_may_be_committed() -> None:
    """What is parked or has ended is not known yet."""
    engine = PartitionEngine(Committed(frontier=3, epoch=1), PLACE, POLICY, WIDE, Scratch())
    engine.begin()
    assert engine.committable is None
    assert engine.tick(1) == []

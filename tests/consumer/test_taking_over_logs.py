"""Taking over where the logs hold what they should not: garbage, later versions, and nothing any more."""

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from schemas.errors import UnreadableRecord
from schemas.outcome import Taken, write_outcome
from schemas.parked import HEADER, Park, Settle, write_note
from schemas.record import Record, to_record
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event
from tests.consumer.kafka import TOPICS
from tests.consumer.scene import Scene, ended, handled_again, park, tell, turns


def test_garbage_in_the_outcomes_log_stops_nothing() -> None:
    """It is named."""
    scene = Scene()
    scene.log.write(0, ended(0))
    scene.log.append(TOPICS.outcomes, 0, Record(key=b"", value=b"{}", headers=()))
    scene.log.write(0, ended(1))
    scene.committed(0, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _unreadable([*logs]) == [(TOPICS.outcomes, 1, "bad-outcome")]
    assert handled_again(tenure, range(3)) == [2]


def test_of_much_garbage_the_first_of_each_reason_is_named_and_all_is_counted() -> None:
    """A topic full of somebody else's records would bury everything else in the log, at each takeover."""
    scene = Scene()
    for _ in range(300):
        scene.log.append(TOPICS.outcomes, 0, Record(key=b"", value=b"{}", headers=()))
        scene.log.append(TOPICS.parked, 0, Record(key=b"", value=b"{}", headers=()))
    scene.committed(0, 1, 0)
    with capture_logs() as logs:
        tell(scene)
    assert _unreadable([*logs]) == [(TOPICS.parked, 0, "bad-note"), (TOPICS.outcomes, 0, "bad-outcome")]
    assert {line["count"] for line in logs} == {1}
    assert scene.alarms.totals == {LogEvent.RECORD_UNREADABLE: 600}


def test_a_number_that_no_log_of_ours_can_hold_is_garbage() -> None:
    """It once went as far as to the database of what is parked, and ended every member that took the partition over."""
    scene = Scene()
    scene.log.append(
        TOPICS.outcomes, 0, Record(key=b"", value=_with(write_outcome(ended(0)).decode(), "offset", 2**70), headers=())
    )
    for name in ("offset", "due", "epoch"):
        scene.log.append(TOPICS.parked, 0, _forged(_with(_text(park(0)), name, 2**70)))
    scene.log.append(TOPICS.parked, 0, _forged(_with(_text(Settle(offset=0)), "offset", 2**70)))
    scene.committed(0, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _unreadable([*logs]) == [(TOPICS.parked, 0, "bad-note"), (TOPICS.outcomes, 0, "bad-outcome")]
    assert scene.alarms.totals == {LogEvent.RECORD_UNREADABLE: 5}
    assert handled_again(tenure, range(2)) == [0, 1]


def _text(note: Park | Settle) -> str:
    return (dict(write_note(note).headers)[HEADER] or b"").decode()


def _with(text: str, name: str, value: int) -> bytes:
    return json.dumps({**json.loads(text), name: value}).encode()


def _forged(note: bytes, given: Record | None = None) -> Record:
    record = given or to_record(event(0))
    return record._replace(headers=(*record.headers, (HEADER, note)))


FORGED = {
    "no note": to_record(event(1)),
    "an empty note": _forged(b"", to_record(event(1))),
    "not ours at all": Record(key=None, value=None, headers=(("x", None),)),
    "no event": _forged(_text(park(1)).encode(), Record(key=None, value=b"?", headers=())),
    "no body": _forged(_text(park(1)).encode(), to_record(event(1))._replace(value=None)),
    "another event": write_note(park(1), to_record(event(2))),
    "another lane": write_note(park(1), to_record(event(1))._replace(key=b"acme/two")),
    "an event of a later version": write_note(
        park(1), to_record(event(1))._replace(headers=(("ce_specversion", b"2.0"),))
    ),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_garbage_in_the_parked_log_stops_nothing(forged: Record) -> None:
    """It is named, nothing of it is taken for an event, and what is really parked is there."""
    scene = Scene()
    scene.log.note(park(0), event(0, connection="0"))
    scene.log.append(TOPICS.parked, 0, forged)
    scene.log.note(park(2), event(2, connection="2"))
    scene.committed(0, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _unreadable([*logs]) == [(TOPICS.parked, 1, "bad-note")]
    assert handled_again(tenure, range(4)) == [1, 3]
    assert turns(tenure) == [0, 2]


def _unreadable(logs: list[EventDict]) -> list[tuple[str, int, str]]:
    assert {(line["event"], line["partition"]) for line in logs} == {(LogEvent.RECORD_UNREADABLE, 0)}
    return [(line["topic"], line["offset"], line["reason"]) for line in logs]


@pytest.mark.parametrize("outcomes_from", [0, None])
def test_an_outcome_of_a_later_version_stops_the_takeover(outcomes_from: int | None) -> None:
    """This release cannot know what it would repeat or skip."""
    scene = Scene()
    scene.log.write(0, replace(ended(0), v=2))
    scene.committed(0, 1, outcomes_from)
    with pytest.raises(UnreadableRecord, match="version 2"):
        tell(scene)


@pytest.mark.parametrize("note", [park(0), Settle(offset=0), Taken(epoch=1, member="another")])
def test_a_parked_note_of_a_later_version_stops_the_takeover(note: Park | Settle | Taken) -> None:
    """Whatever it is: to leave it out could lose an event, or call one again."""
    scene = Scene()
    later = replace(note, v=2)
    scene.log.note(later, event(0) if isinstance(note, Park) else None)
    scene.committed(0, 1, 0)
    with pytest.raises(UnreadableRecord, match="version 2"):
        tell(scene)


def _expired(logs: list[EventDict]) -> list[tuple[str, int, int]]:
    found = [line for line in logs if line["event"] == LogEvent.HISTORY_EXPIRED]
    return [(line["topic"], line["first_gone"], line["last_gone"]) for line in found]


def test_outcomes_that_have_expired_are_reported_and_the_takeover_goes_on() -> None:
    """A group that was away for longer than its outcomes are kept must not wait for them for ever."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(10)))
    scene.log.low[TOPICS.outcomes, 0] = 6
    scene.committed(0, 1, 2)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == [(TOPICS.outcomes, 2, 5)]
    assert handled_again(tenure, range(12)) == [0, 1, 2, 3, 4, 5, 10, 11]


def test_the_beginning_of_a_log_is_wherever_it_begins_by_now() -> None:
    """A first owner commits position 0 for it, and nothing that anyone waits for has expired, or was deleted."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(10)))
    for at in range(10, 16):
        scene.log.note(park(at), event(at, connection=str(at)))
    scene.log.low[TOPICS.outcomes, 0] = 6
    scene.log.low[TOPICS.parked, 0] = 4
    scene.committed(6, 1, 0)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == []
    assert handled_again(tenure, range(6, 18)) == [10, 11, 12, 13, 16, 17]


def test_logs_that_were_made_anew_are_read_whole() -> None:
    """The committed position lies beyond their end; what they hold by now still counts."""
    scene = Scene()
    scene.log.write(0, *map(ended, range(3)))
    scene.log.note(park(3), event(3, connection="3"))
    scene.committed(0, 1, 500, 600)
    with capture_logs() as logs:
        tenure = tell(scene)
    assert _expired([*logs]) == [(TOPICS.parked, 1, 599), (TOPICS.outcomes, 3, 499)]
    assert handled_again(tenure, range(6)) == [4, 5]

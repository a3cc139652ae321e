"""Dead letters on a real Kafka, of topics in which a test has written what members may leave behind."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from broker.partitioner import partition_of
from broker.scan import open_scanner
from consumer.commands.repair import sentences
from consumer.letters import LetterFilter, RedriveRequest, letters, redrive
from consumer.otherwise import About, Otherwise
from schemas.dead import DeadLetter, write_dead_letter
from schemas.event import Event
from schemas.outcome import Ended, OutcomeKind
from schemas.record import to_record
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event


def bury(group: Group, offset: int, buried: Event, ended: int = 2**41) -> None:
    """Write a dead letter."""
    note = DeadLetter(
        group=group.settings.group,
        reason="permanent",
        error="Fuse answered 400",
        topic=group.settings.topic,
        partition=0,
        offset=offset,
        attempts=1,
        ended=ended,
        epoch=1,
        member="m",
    )
    group.append(group.topics.dead, write_dead_letter(note, to_record(buried)))


@pytest.fixture
def group(cluster: Cluster, topic_name: str) -> Group:
    """Give a group with five events, and a letter of each."""
    made = Group(cluster.bootstrap_servers, topic_name)
    events = [event(number) for number in range(5)]
    made.publish(*events)
    for offset, each in enumerate(events):
        bury(made, offset, each)
    return made


def test_what_was_applied_after_its_letter_was_written_is_not_sent_again(group: Group) -> None:
    """A member wrote the letter and died before the outcome; its successor called again, and that worked."""
    group.end(0, "event-0", OutcomeKind.DEAD)
    group.end(1, "event-1", OutcomeKind.APPLIED)
    group.end(2, "event-2", OutcomeKind.SUPERSEDED)
    group.end(3, "of-a-topic-that-was-made-anew", OutcomeKind.APPLIED)
    report = redrive(group.settings, RedriveRequest())
    assert (report.events, report.ended_otherwise) == (3, 2)
    assert any("2 letters are of events that ended otherwise" in sentence for sentence in sentences(report))
    assert redrive(group.settings, RedriveRequest(), dry_run=False).events == 3
    again = redrive(group.settings, RedriveRequest())
    assert (again.events, again.ended_otherwise) == (0, 2)


def test_what_was_redriven_to_where_its_lane_is_now_is_not_sent_again(cluster: Cluster, topic_name: str) -> None:
    """The topic got more partitions after the letter was written, so the event does not lie behind its record."""
    group = Group(cluster.bootstrap_servers, topic_name, partitions=2)
    candidates = [event(connection=f"c-{number}") for number in range(9)]
    moved = next(each for each in candidates if partition_of(to_record(each).key or b"", 2) == 1)
    group.publish(moved)
    bury(group, 0, moved)
    assert redrive(group.settings, RedriveRequest(), dry_run=False).events == 1
    assert redrive(group.settings, RedriveRequest()).events == 0
    with open_scanner(group.settings) as scanner:
        assert [history.high for history in scanner.histories(topic_name).values()] == [1, 1]


def test_what_was_redriven_between_two_extensions_is_not_sent_again(cluster: Cluster, topic_name: str) -> None:
    """It lies neither where its letter says nor where its lane is now."""
    group = Group(cluster.bootstrap_servers, topic_name)
    candidates = [event(connection=f"c-{number}") for number in range(20)]
    moved = next(each for each in candidates if [partition_of(to_record(each).key or b"", n) for n in (2, 3)] == [1, 2])
    group.publish(moved)
    bury(group, 0, moved)
    group.extend(2)
    assert redrive(group.settings, RedriveRequest(), dry_run=False).events == 1
    group.extend(3)
    assert redrive(group.settings, RedriveRequest()).events == 0
    assert [each.redriven for each in letters(group.settings, LetterFilter())] == [True]
    with open_scanner(group.settings) as scanner:
        assert [history.high for history in scanner.histories(topic_name).values()] == [1, 1, 0]


def test_an_event_that_says_it_came_later_than_its_letter_is_not_sent_again_for_that(
    cluster: Cluster, topic_name: str
) -> None:
    """Whoever publishes says when it came, and may be wrong; what was sent again lies behind the letter in any case."""
    group = Group(cluster.bootstrap_servers, topic_name)
    wrong = event(received_at=datetime(2100, 1, 1, tzinfo=UTC))
    group.publish(wrong)
    bury(group, 0, wrong, ended=0)
    assert redrive(group.settings, RedriveRequest(), dry_run=False).events == 1
    assert redrive(group.settings, RedriveRequest()).events == 0


def test_where_no_letter_is_meant_nothing_is_read_for_it(group: Group) -> None:
    """There is no time from which outcomes would matter."""
    report = redrive(group.settings, RedriveRequest(filter=LetterFilter(tenant="other")))
    assert (report.events, report.ended_otherwise, report.complete) == (0, 0, True)


def outcomes(*about: About, kind: OutcomeKind = OutcomeKind.APPLIED) -> Iterator[tuple[int, Ended]]:
    """Let these events end."""
    for partition, offset, name, generation in about:
        yield (
            partition,
            Ended(
                offset=offset,
                id=name,
                generation=generation,
                outcome=kind,
                attempts=1,
                received=1,
                ended=1,
                epoch=1,
                member="m",
            ),
        )


def test_an_outcome_belongs_to_one_event_of_one_generation_at_its_place() -> None:
    """Of any other event it says nothing, and one that was given up, was given up."""
    mine = About(partition=1, offset=2, id="a", generation=3)
    others = [mine._replace(partition=0), mine._replace(offset=1), mine._replace(id="b"), mine._replace(generation=2)]
    with closing(Otherwise()) as otherwise:
        for each in (mine, mine, *others[:2]):
            otherwise.ask(each)
        otherwise.note(outcomes(*others))
        otherwise.note(outcomes(mine, kind=OutcomeKind.DEAD))
        assert not otherwise.knows(mine)
        assert [otherwise.knows(each) for each in others] == [True, True, False, False]  # only what was asked about
        otherwise.note(outcomes(mine))
        assert otherwise.knows(mine)

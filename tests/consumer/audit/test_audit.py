"""The audit on a real Kafka, of topics in which a test has planted what is to be found."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from broker.history import History
from broker.scan import Scanner
from consumer.__main__ import main
from consumer.audit import Counts, Report, Span, audit
from consumer.engine.committed import Committed
from schemas.errors import ConfigurationError, UnreadableRecord
from schemas.outcome import OutcomeKind
from schemas.record import Record
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event, settings


@pytest.fixture
def group(cluster: Cluster, topic_name: str) -> Group:
    """Give a group of the test's own, with a takeover in its logs."""
    made = Group(cluster.bootstrap_servers, topic_name)
    made.take(1)
    return made


def named(report: Report) -> list[tuple[str, int, str]]:
    """List what is named: what, at which offset, and the id."""
    return [(each.what, each.offset, each.id) for each in report.named]


def test_every_event_is_counted_by_what_became_of_it(group: Group) -> None:
    """Defends promise 6: all ways of ending, waiting and being in progress, and nothing else is claimed."""
    group.publish(*map(event, range(8)))
    group.append(group.settings.topic, Record(key=None, value=b"?", headers=()))
    for offset, kind in enumerate(OutcomeKind):
        group.end(offset, f"event-{offset}", kind)
    group.end(8, "", OutcomeKind.DEAD)
    group.park(4, event(4))
    group.park(5, event(5))
    group.end(5, "event-5")
    group.settle(5)
    group.commit(Committed(frontier=6, epoch=1, outcomes_from=0, parked_from=0, parked_epoch=0))
    report = audit(group.settings)
    assert report.counts == Counts(
        events=9, applied=2, superseded=1, ignored=1, dead=2, parked=1, in_progress=2, unaccounted=0
    )
    assert report.proven
    assert audit(group.settings, tenant="acme").counts.events == 8
    assert audit(group.settings, tenant="other").counts.events == 0
    past, future = (Span(since=datetime.now(UTC) + timedelta(hours=hours)) for hours in (-1, 1))
    assert audit(group.settings, past).counts == report.counts
    assert audit(group.settings, future).counts.events == 0
    assert audit(group.settings, Span(until=past.since)).counts.events == 0


def test_an_offset_moved_forward_by_hand_loses_events_and_each_is_named(
    group: Group, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With its coordinates and what its record says; the exit status says so as well."""
    group.publish(*map(event, range(6)))
    for offset in (0, 1, 4):
        group.end(offset, f"event-{offset}")
    group.end(3, "another")  # of a topic that was deleted and made anew
    group.commit(Committed(frontier=5, epoch=1))
    report = audit(group.settings)
    assert named(report) == [("unaccounted", 2, "event-2"), ("unaccounted", 3, "event-3")]
    first = report.named[0]
    assert (first.place, first.tenant, first.connection) == (f"{group.settings.topic}[0]@2", "acme", "one")
    assert first.received == event(2).received_at.timestamp()

    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", group.settings.kafka_bootstrap_servers)
    monkeypatch.setenv("FUSE_SYNC_TOPIC", group.settings.topic)
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "none.toml")
    assert main(["audit", "--json", "--last", "1h"]) == 1
    told = orjson.loads(capsysbinary.readouterr().out)
    assert told["counts"]["unaccounted"] == 2
    assert [each["place"] for each in told["named"]] == [f"{group.settings.topic}[0]@{offset}" for offset in (2, 3)]
    assert main(["audit"]) == 1
    assert b"unaccounted" in capsysbinary.readouterr().out
    group.commit(Committed(frontier=2, epoch=1))
    assert main(["audit"]) == 0


def test_an_outcome_that_was_deleted_is_missed_and_its_event_is_named(group: Group) -> None:
    """As unknown, since it may have been there; what was appended after the deletion cannot have been."""
    group.publish(*map(event, range(3)))
    for offset in range(3):
        group.end(offset, f"event-{offset}")
    group.commit(Committed(frontier=3, epoch=1))
    assert audit(group.settings).proven
    group.delete(group.topics.outcomes, 3)  # the mark, and two outcomes
    report = audit(group.settings)
    assert named(report) == [("unknown", 0, "event-0"), ("unknown", 1, "event-1")]
    assert not report.proven
    assert report.outcomes_gone == [0]
    group.publish(event(3))
    group.commit(Committed(frontier=4, epoch=1))
    assert named(audit(group.settings))[2:] == [("unaccounted", 3, "event-3")]


def test_what_came_before_the_group_began_is_not_counted(
    group: Group, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was never to have it; that so many were there is said all the same."""
    group.publish(*map(event, range(5)))
    group.end(2, "event-2")
    group.end(3, "event-3")
    group.commit(Committed(frontier=4, epoch=1, events_from=2))
    report = audit(group.settings)
    assert report.counts == Counts(events=3, applied=2, in_progress=1)
    assert (report.proven, report.before_start) == (True, 2)
    group.commit(Committed(frontier=4, epoch=1, events_from=1))
    assert named(audit(group.settings)) == [("unaccounted", 1, "event-1")]

    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", group.settings.kafka_bootstrap_servers)
    monkeypatch.setenv("FUSE_SYNC_TOPIC", group.settings.topic)
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "none.toml")
    assert main(["audit"]) == 1
    assert "1 events came before the group's start" in capsys.readouterr().out


def test_an_event_that_ended_twice_is_named_as_repeated_and_is_accounted_for(group: Group) -> None:
    """A crash may repeat what was in flight: that is no loss."""
    group.publish(event(0), event(1))
    for offset in (0, 1, 1):
        group.end(offset, f"event-{offset}")
    group.commit(Committed(frontier=2, epoch=1))
    report = audit(group.settings)
    assert named(report) == [("repeated", 1, "event-1")]
    assert report.proven


def test_a_park_of_a_member_that_had_been_replaced_is_void(group: Group) -> None:
    """And an event that is settled without an outcome is lost."""
    group.publish(event(0), event(1), event(2))
    group.park(1, event(1))
    group.settle(1)
    group.park(2, event(2))
    group.take(2)
    group.park(0, event(0), epoch=1)
    group.commit(Committed(frontier=3, epoch=2))
    assert named(audit(group.settings)) == [("unaccounted", 0, "event-0"), ("unaccounted", 1, "event-1")]


def test_what_is_parked_again_while_it_is_read_is_no_false_alarm(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner writes it again behind, and deletes the beginning, after the audit asked what there is."""
    group.publish(event(0))
    group.park(0, event(0))
    group.commit(Committed(frontier=1, epoch=1, outcomes_from=1, parked_from=1, parked_epoch=1))
    ask = Scanner.histories
    left = 2  # the first time a later position is simply read; the second time it is beyond what is to be read

    def ask_and_rewrite(scanner: Scanner, topic: str) -> Mapping[int, History]:
        nonlocal left
        found = ask(scanner, topic)
        if topic == group.topics.parked and left:
            left -= 1
            position = group.park(0, event(0))
            group.commit(Committed(frontier=1, epoch=1, outcomes_from=1, parked_from=position, parked_epoch=1))
            group.delete(topic, position)
        return found

    monkeypatch.setattr(Scanner, "histories", ask_and_rewrite)
    report = audit(group.settings)
    assert report.counts == Counts(events=1, parked=1)
    assert left == 0


def test_records_that_are_none_of_ours_say_nothing_and_later_versions_stop_the_audit(group: Group) -> None:
    """A later release may mean something else by them."""
    group.publish(event(0))
    group.append(group.topics.outcomes, Record(key=None, value=b'{"record":"ended","offset":0}', headers=()))
    group.append(group.topics.parked, Record(key=None, value=b"?", headers=()))
    report = audit(group.settings)
    assert report.unreadable == 2
    assert report.counts == Counts(events=1, in_progress=1)
    group.append(
        group.topics.outcomes, Record(key=None, value=b'{"v":2,"record":"taken","epoch":1,"member":"m"}', headers=())
    )
    with pytest.raises(UnreadableRecord, match="version 2"):
        audit(group.settings)


def test_a_group_that_nobody_has_ever_run_is_not_proven_but_refused(group: Group) -> None:
    """For a slip of the pen everything would be in progress, and so accounted for."""
    group.publish(event(0))
    with pytest.raises(ConfigurationError, match="no group slip"):
        audit(group.settings.model_copy(update={"group": "slip"}))


def test_what_cannot_be_asked_is_told_by_the_exit_status(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No topic, two spans at once, and no Kafka."""
    with pytest.raises(ConfigurationError, match="nobody-made-this"):
        audit(settings(kafka_bootstrap_servers=cluster.bootstrap_servers, topic="nobody-made-this"))
    monkeypatch.setattr("broker.scan._ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "none.toml")
    assert main(["audit", "--since", "2026-11-01T00:00Z", "--last", "1h"]) == 2
    assert main(["audit"]) == 3
    assert "--since" in capsys.readouterr().err


def test_a_group_that_nobody_ever_ran_is_refused_and_not_proven(group: Group) -> None:
    """Everything would be in progress, for ever: a slip of the pen must not read as a proof."""
    group.publish(event(0))
    misspelled = group.settings.model_copy(update={"group": "snyc"})
    with pytest.raises(ConfigurationError, match="no group snyc"):
        audit(misspelled)

"""The status on a real Kafka, of topics in which a test has written what is to be told."""

import time
from datetime import UTC, datetime

import orjson
import pytest

from consumer.__main__ import main
from consumer.engine.committed import Committed
from consumer.status import status
from schemas.record import Record
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event

HOUR = 3600.0


def test_the_oldest_unsettled_event_is_told_whether_parked_or_in_progress(
    cluster: Cluster, topic_name: str, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With counts, the rate and each tenant; what ended above the frontier is not part of it."""
    began = time.time()
    hours_ago = [datetime.fromtimestamp(began - hours * HOUR, UTC) for hours in range(6)]
    group = Group(cluster.bootstrap_servers, topic_name)
    old = [event(number, received_at=hours_ago[5 - number]) for number in range(5)]
    old[3] = event(3, tenant="other", received_at=hours_ago[2])
    group.take(3)
    group.publish(*old)
    group.append(group.topics.dead, Record(key=None, value=b"?", headers=()))
    group.end(0, "event-0")
    parked_from = group.park(1, old[1], epoch=3)
    group.end(2, "event-2")
    group.commit(Committed(frontier=2, epoch=3, outcomes_from=1, parked_from=parked_from, parked_epoch=3))

    found = status(group.settings)
    (partition,) = found.partitions
    assert (partition.frontier, partition.end, partition.lag) == (2, 5, 3)
    assert (partition.parked, partition.dead, partition.epoch, partition.owner) == (1, 1, 3, None)
    assert partition.rate == pytest.approx(3 / 60)  # two outcomes and the mark
    elapsed = time.time() - began
    assert found.oldest_seconds is not None
    assert 4 * HOUR <= found.oldest_seconds <= 4 * HOUR + elapsed + 1
    assert [(each.tenant, each.unsettled) for each in found.tenants] == [("acme", 2), ("other", 1)]

    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", cluster.bootstrap_servers)
    monkeypatch.setenv("FUSE_SYNC_TOPIC", topic_name)
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "none.toml")
    capsysbinary.readouterr()
    assert main(["status", "--json"]) == 0
    told = orjson.loads(capsysbinary.readouterr().out)
    assert told["partitions"][0]["lag"] == 3
    assert told["oldest_seconds"] >= 4 * HOUR
    assert main(["status"]) == 0
    assert b"Oldest unsettled event: 14,4" in capsysbinary.readouterr().out

    for offset in (1, 3, 4):
        group.end(offset, f"event-{offset}")
    assert status(group.settings).oldest_seconds is None

"""What is gathered of a lane, on a real Kafka, from topics in which a test has written it."""

from broker.layout import Layout
from broker.partitioner import partition_of
from consumer.engine.committed import Committed
from consumer.why.asked import parse
from consumer.why.gather import gather
from schemas.record import to_record
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event


def test_what_came_before_the_group_began_holds_no_lane(cluster: Cluster, topic_name: str) -> None:
    """It was never to have it: without a known start, the lane would be said to wait for what nobody handles."""
    group = Group(cluster.bootstrap_servers, topic_name)
    group.publish(event(0), event(1))
    for events_from, waiting in ((None, [0, 1]), (1, [1])):
        group.commit(Committed(frontier=1, epoch=1, events_from=events_from))
        (facts,) = gather(group.settings, parse("acme/one"), in_tenants_file=True, now=0)
        assert facts.open == waiting


def test_while_a_group_drains_its_lanes_are_looked_for_in_both_places(cluster: Cluster, topic_name: str) -> None:
    """What lies in the old one ends first; the group's topics have nothing of the new one yet."""
    group = Group(cluster.bootstrap_servers, topic_name)
    moved = next(name for name in map("c-{}".format, range(9)) if partition_of(f"acme/{name}".encode(), 2) == 1)
    group.publish(event(0, connection=moved))
    group.extend(2)
    group.append(topic_name, to_record(event(1, connection=moved)), partition=1)
    old, new = gather(group.settings, parse(f"acme/{moved}"), in_tenants_file=True, now=0)
    assert [(each.partition.number, each.open) for each in (old, new)] == [(0, [0]), (1, [0])]
    assert old.drains == Layout(old=1, new=2)
    lanes = gather(group.settings, parse("acme"), in_tenants_file=True, now=0)
    assert {each.partition.number for each in lanes} == {0, 1}

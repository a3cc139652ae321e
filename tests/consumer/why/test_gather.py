"""What is gathered of a lane, on a real Kafka, from topics in which a test has written it."""

from broker.layout import Layout, Standing
from broker.partitioner import partition_of
from consumer.engine.committed import Committed
from consumer.why.asked import parse
from consumer.why.gather import gather
from schemas.event import Event
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


def test_a_partition_that_drains_is_handled_up_to_what_was_moved_in_behind_the_frontier(
    cluster: Cluster, topic_name: str
) -> None:
    """What waits before that waits for something else."""
    group, layout = Group(cluster.bootstrap_servers, topic_name, partitions=2), Layout(old=2, new=3)
    made = [event(number, connection=f"c-{number}") for number in range(60)]
    standing = {layout.standing(to_record(each).key, 0): each for each in made if _may_lie_in_the_first(each, layout)}
    asked, moved_in = standing[Standing.MISPLACED], standing[Standing.MOVED_IN]
    for each in (moved_in, asked, moved_in, asked):
        group.append(topic_name, to_record(each))
    group.extend(3)
    for frontier, boundary in ((0, 0), (1, 2), (3, None)):
        group.commit(Committed(frontier=frontier, epoch=1))
        for name in (f"acme/{asked.connection}", "acme"):
            facts = gather(group.settings, parse(name), in_tenants_file=True, now=0)[0]
            assert (facts.partition.number, facts.boundary) == (0, boundary)


def _may_lie_in_the_first(event: Event, layout: Layout) -> bool:
    return 0 in {partition_of(to_record(event).key or b"", count) for count in (layout.old, layout.new)}

"""What is gathered of a lane, on a real Kafka, from topics in which a test has written it."""

from consumer.engine.committed import Committed
from consumer.why.asked import parse
from consumer.why.gather import gather
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

"""What every command says of a group that nobody has ever run, for a slip of the pen; on a real Kafka."""

import pytest

from consumer.__main__ import main
from schemas.settings import variable
from schemas.topics import groups_of
from tests.conftest import Cluster
from tests.consumer.audit.group import Group
from tests.consumer.fakes import event


@pytest.fixture
def _group(cluster: Cluster, topic_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a group `sync` that has been run, with an event, and settings that lead to it."""
    Group(cluster.bootstrap_servers, topic_name).publish(event(0))
    monkeypatch.setattr("consumer.commands.repair.configure_logging", lambda *_: None)
    monkeypatch.setenv(variable("kafka_bootstrap_servers"), cluster.bootstrap_servers)
    monkeypatch.setenv(variable("topic"), topic_name)
    monkeypatch.setenv(variable("tenants_file"), "none.toml")


@pytest.mark.usefixtures("_group")
def test_a_misspelt_group_is_refused_by_every_command_in_one_sentence(
    topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A status that says `dead` and nothing waits, or a replay of all there is, would mislead whoever reads it."""
    asked = ("status", "audit", "why acme", "why acme/one", "replay --last 1h", "dead list", "dead redrive")
    said = {}
    for command in asked:
        status = main([*command.split(), "--group", "snyc"])
        said[command] = (status, capsys.readouterr().err)
    sentence = f"there is no group snyc of topic {topic_name}: check --group; there are sync.\n"
    assert said == dict.fromkeys(asked, (2, sentence))


@pytest.mark.usefixtures("_group")
def test_a_group_that_has_been_run_and_has_not_committed_is_known() -> None:
    """Its topics are there from the first start on, a commit only after the first takeover."""
    assert main(["status"]) == 0
    assert main(["why", "acme/one"]) == 1


def test_the_groups_of_a_topic_are_told_from_those_of_others() -> None:
    """They are told by their outcomes; the topics of other sources are none of them."""
    topics = ["a-b.sync.outcomes", "a-b.sync.parked", "a-b.relay.outcomes", "a-bc.d.outcomes", "a-b", "a-b.outcomes"]
    assert groups_of("a-b", topics) == ["relay", "sync"]

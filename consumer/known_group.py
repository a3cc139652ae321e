"""Whether a group was ever run: of one that nobody ran, for a slip of the pen, every answer would be wrong."""

from collections.abc import Sequence

from broker.group_state import GroupState
from broker.scan import Scanner
from schemas.errors import ConfigurationError
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics, groups_of


def require_group(scanner: Scanner, settings: ConsumerSettings, state: GroupState | None = None) -> None:
    """Refuse a group that has neither committed, as far as `state` says, nor an outcomes topic.

    Raises ConfigurationError that names the groups there are, and Retryable if Kafka does not answer.
    """
    has_committed = state is not None and any(each.committed is not None for each in state.partitions.values())
    if not has_committed and not scanner.histories(group_topics(settings.topic, settings.group).outcomes):
        raise ConfigurationError([_no_such(settings, groups_of(settings.topic, scanner.topics()))])


def _no_such(settings: ConsumerSettings, known: Sequence[str]) -> str:
    there = f"there are {', '.join(known)}" if known else "nobody has run any yet"
    return f"there is no group {settings.group} of topic {settings.topic}: check --group; {there}."

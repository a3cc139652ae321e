"""The topics: their names, and what each must be configured to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

DEAD_KEPT = timedelta(days=30)
OUTCOMES_MARGIN = timedelta(days=1)
"""Outcomes outlive the source by this, so that every event still in the source has its outcome in the log."""

RECORD_OVERHEAD = 64 * 1024
"""Room in bytes for the headers whose size does not depend on the body, and as much again for a note of ours."""

_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it must be: its name, and the configuration that the promises stand on."""

    name: str
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTopics:
    """The three topics that belong to one group."""

    outcomes: str
    parked: str
    dead: str


def is_legal_name(name: str) -> bool:
    """Say whether Kafka accepts `name` for a topic."""
    return _LEGAL_NAME.fullmatch(name) is not None and name not in {".", ".."}


def group_topics(source: str, group: str) -> GroupTopics:
    """Name the topics of `group`, which reads `source`."""
    return GroupTopics(
        outcomes=f"{source}.{group}.outcomes", parked=f"{source}.{group}.parked", dead=f"{source}.{group}.dead"
    )


def groups_of(source: str, topics: Iterable[str]) -> Sequence[str]:
    """Name the groups that read `source`, in alphabetical order, by their outcomes among all topics of a cluster."""
    before, behind = map(re.escape, group_topics(source, "\n").outcomes.split("\n"))
    pattern = re.compile(f"{before}(.+){behind}")
    return sorted(found[1] for found in map(pattern.fullmatch, topics) if found)


def consumer_group_id(source: str, group: str) -> str:
    """Name the Kafka consumer group of `group`, so that groups of two sources on one cluster never meet."""
    return f"{source}.{group}"


def max_record_bytes(max_body_bytes: int) -> int:
    """Bound a record's size in bytes.

    The connection stands in the key and in ce_subject, type and aggregator in headers of their own, and
    percent-encoding makes three bytes of one: six times the body at most, with the body itself seven.
    """
    return 7 * max_body_bytes + RECORD_OVERHEAD


def max_group_record_bytes(max_body_bytes: int) -> int:
    """Bound the size in bytes of a parked record or dead letter: the largest record of the source, and a note."""
    return max_record_bytes(max_body_bytes) + RECORD_OVERHEAD


def source_spec(source: str, *, retention: timedelta, max_body_bytes: int) -> TopicSpec:
    """Describe the topic of verified webhooks."""
    return _spec(source, retention, max_record_bytes(max_body_bytes))


def group_specs(source: str, group: str, *, retention: timedelta, max_body_bytes: int) -> tuple[TopicSpec, ...]:
    """Describe the three topics of `group`. What is parked never expires: its owner deletes what is behind."""
    names, most = group_topics(source, group), max_group_record_bytes(max_body_bytes)
    return (
        _spec(names.outcomes, retention + OUTCOMES_MARGIN, most),
        _spec(names.parked, None, most),
        _spec(names.dead, DEAD_KEPT, most),
    )


def _spec(name: str, retention: timedelta | None, max_bytes: int) -> TopicSpec:
    retention_ms = -1 if retention is None else int(retention.total_seconds() * 1000)
    return TopicSpec(
        name=name,
        config={
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(max_bytes),
            "unclean.leader.election.enable": "false",
        },
    )

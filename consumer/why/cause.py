"""The causes that `why` can name, and what it says of one."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a lane does not go on; or, from `applied` on, that nothing holds it."""

    KAFKA_SILENT = "kafka_silent"
    TOPIC_MISSING = "topic_missing"
    TENANT_UNKNOWN = "tenant_unknown"
    NO_MEMBER = "no_member"
    DRAINING = "draining"
    REBALANCING = "rebalancing"
    NO_OWNER = "no_owner"
    OWNER_SILENT = "owner_silent"
    OWNER_UNSEEN = "owner_unseen"
    TAKING_OVER = "taking_over"
    LETTING_GO = "letting_go"
    TENANT_MISCONFIGURED = "tenant_misconfigured"
    DESTINATION_HELD = "destination_held"
    FRONTIER_PINNED = "frontier_pinned"
    IN_FLIGHT = "in_flight"
    NEXT_ATTEMPT = "next_attempt"
    NO_LEASE = "no_lease"
    TURN = "turn"
    BEHIND = "behind"
    PARKED_FAILED = "parked_failed"
    PARKED_TURN = "parked_turn"
    PARKED_BEHIND = "parked_behind"
    PARKED_FOR_ROOM = "parked_for_room"
    PAUSED = "paused"
    NOT_READ = "not_read"
    UNACCOUNTED = "unaccounted"
    JUST_NOW = "just_now"

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    DEAD = "dead"
    NEVER_SEEN = "never_seen"
    NOTHING_OPEN = "nothing_open"


_HOLDS_NOTHING = frozenset(
    {Cause.APPLIED, Cause.SUPERSEDED, Cause.IGNORED, Cause.DEAD, Cause.NEVER_SEEN, Cause.NOTHING_OPEN}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say: about a lane, or a tenant; a sentence what it is, and one what to do about it."""

    about: str
    cause: Cause
    says: str
    do: str
    partition: int | None = None
    offset: int | None = None

    @property
    def holds(self) -> bool:
        """Say whether it keeps the lane from going on."""
        return self.cause not in _HOLDS_NOTHING

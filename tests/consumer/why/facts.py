"""Facts about a lane, as a test plants them."""

from typing import Any

from consumer.engine.committed import Committed
from consumer.why.answer import PageAnswer
from consumer.why.facts import EventFact, Facts, PartitionFact
from schemas.outcome import Ended, OutcomeKind
from schemas.parked import Park, Why

NOW = 1_800_000_000_000
LANE = "acme/one"


def partition(frontier: int | None = 5, **changes: Any) -> PartitionFact:  # noqa: ANN401 - any field of PartitionFact
    """Give partition 3, which has the offsets 0 to 9, and an owner with a page."""
    committed = None if frontier is None else Committed(frontier=frontier, epoch=1)
    usual = {"owner": "fuse-sync@10.0.0.1:1 on 10.0.0.1", "address": "10.0.0.1:1", "existing": range(10)}
    return PartitionFact(number=3, committed=committed, **{**usual, **changes})


def facts(*offsets: int, **changes: Any) -> Facts:  # noqa: ANN401 - any field of Facts
    """Give the facts of a lane with events at these offsets, whose owner's page has nothing of it."""
    usual: dict[str, Any] = {
        "group": "sync",
        "tenant": "acme",
        "lane": LANE,
        "now": NOW,
        "in_tenants_file": True,
        "state": "stable",
        "names_owners": True,
        "partition": partition(),
        "looked_from": 0,
        "events": [EventFact(offset=offset, appended=NOW - 1_000) for offset in offsets],
        "page": page(),
    }
    return Facts(**{**usual, **changes})


def page(
    head: dict[str, Any] | None = None,
    parked: int | None = None,
    of_partition: dict[str, Any] | None = None,
    **changes: Any,  # noqa: ANN401 - any field of PageAnswer
) -> PageAnswer:
    """Give what the owner's page says: the lane's head, its first parked event, and how the partition is."""
    lane = {"partition": 3, "head": head, "parked": None if parked is None else {"offset": parked}}
    usual = {
        "time": NOW / 1000,
        "calls": {"in_flight": 7, "most": 9, "waiting": 4},
        "lanes": [lane] if head or parked is not None else [],
        "partitions": [{"partition": 3, "stage": "running", "read_position": 10, **(of_partition or {})}],
    }
    return PageAnswer.model_validate({**usual, **changes})


def head(offset: int, stage: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of PageHead
    """Give the head of the lane as the page has it."""
    return {"offset": offset, "stage": stage, "attempts": 2, **changes}


def park(offset: int, reason: Why, **changes: Any) -> Park:  # noqa: ANN401 - any field of Park
    """Give a note of the parked log."""
    usual = {"epoch": 1, "offset": offset, "id": "x", "due": 0, "since": NOW - 60_000}
    return Park(**{**usual, "reason": reason, **changes})


def ended(offset: int, outcome: OutcomeKind, **changes: Any) -> Ended:  # noqa: ANN401 - any field of Ended
    """Give an outcome."""
    usual = {"id": "x", "attempts": 1, "received": NOW, "ended": NOW, "epoch": 1, "member": "m"}
    return Ended(**{**usual, "offset": offset, "outcome": outcome, **changes})

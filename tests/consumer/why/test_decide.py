"""Planted causes, each named right: the decision over facts, without any Kafka."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.layout import Layout
from consumer.why.cause import Cause
from consumer.why.decide import decide, tenant_wide
from consumer.why.facts import Facts
from schemas.outcome import OutcomeKind
from schemas.parked import Why
from tests.consumer.why.facts import LANE, NOW, ended, facts, head, page, park, partition

LATER = NOW + 90_000
FAILED = park(6, Why.FAILED, due=LATER, attempts=4, error="Fuse answered 503")
OLD_PLACE = Layout(old=9, new=10)
"""Of this the lane's partition is the old place, or one that it keeps."""
PIN = {"offset": 6, "write": "WriteOutcome", "error": "not enough replicas"}

PLANTED: Mapping[str, tuple[Facts, Cause, str]] = {
    "in flight": (
        facts(6, page=page(head(6, "call", since=NOW / 1000 - 4))),
        Cause.IN_FLIGHT,
        "in flight for 4.0 s (attempt 2)",
    ),
    "waits for its next attempt": (
        facts(6, page=page(head(6, "pause", until=LATER / 1000, error="Fuse answered 503"))),
        Cause.NEXT_ATTEMPT,
        "until 2027-01-15T08:01:30Z for its next attempt (2 attempts so far, the last failed with: Fuse answered 503)",
    ),
    "waits for a slot": (
        facts(6, page=page(head(6, "slot"))),
        Cause.TURN,
        "(7 of at most 9 calls are in flight, 4 wait)",
    ),
    "waits for a slot again after a pause": (
        facts(6, page=page(head(6, "pause", until=NOW / 1000 - 1))),
        Cause.TURN,
        "waits for its turn",
    ),
    "has no lease": (facts(6, page=page(head(6, "lease"))), Cause.NO_LEASE, "Kafka took no commit"),
    "parked until": (
        facts(6, parked={6: FAILED}, page=page(parked=6)),
        Cause.PARKED_FAILED,
        "parked until 2027-01-15T08:01:30Z (4 attempts so far, the last failed with: Fuse answered 503)",
    ),
    "parked and due": (
        facts(6, parked={6: park(6, Why.FAILED, due=NOW - 1)}),
        Cause.PARKED_TURN,
        "due since 2027-01-15T07:59:59Z",
    ),
    "parked behind one that has ended": (
        facts(5, 6, parked={6: park(6, Why.BEHIND)}, ended={5: ended(5, OutcomeKind.APPLIED)}),
        Cause.PARKED_TURN,
        "parked behind an earlier one",
    ),
    "parked for its lane's room": (
        facts(6, parked={6: park(6, Why.LANE_FULL)}),
        Cause.PARKED_FOR_ROOM,
        "its lane had more than its share",
    ),
    "parked for its tenant's room": (
        facts(6, parked={6: park(6, Why.TENANT_FULL)}),
        Cause.PARKED_FOR_ROOM,
        "its tenant had more than its share",
    ),
    "misconfigured by the parked log": (
        facts(6, parked={6: park(6, Why.MISCONFIGURED, error="answered 401")}),
        Cause.TENANT_MISCONFIGURED,
        "wrong (answered 401)",
    ),
    "misconfigured by the page": (
        facts(6, page=page(head(6, "call"), misconfigured_tenants=["acme/sandbox"])),
        Cause.TENANT_MISCONFIGURED,
        "acme is wrong",
    ),
    "not in the tenants file": (facts(6, in_tenants_file=False), Cause.TENANT_UNKNOWN, "not in the tenants file"),
    "held": (
        facts(6, page=page(head(6, "slot"), held_destinations=["acme/sandbox"])),
        Cause.DESTINATION_HELD,
        "only probes are made",
    ),
    "parked while its destination was down": (
        facts(6, parked={6: park(6, Why.DESTINATION_FULL)}),
        Cause.PARKED_TURN,
        "parked, and due since 2027-01-15T07:59:00Z",
    ),
    "pinned": (
        facts(6, page=page(of_partition={"pinned": [PIN]})),
        Cause.FRONTIER_PINNED,
        "offset 6 (WriteOutcome: not enough replicas)",
    ),
    "paused at a bound": (
        facts(9, page=page(of_partition={"read_position": 7, "paused": True, "pinned": [PIN]})),
        Cause.PAUSED,
        "2 offsets before the event at offset 9; the frontier is pinned at offset 6",
    ),
    "not read yet": (facts(9, page=page(of_partition={"read_position": 2})), Cause.NOT_READ, "7 offsets are before it"),
    "no member": (facts(6, state="empty", partition=partition(owner=None, address=None)), Cause.NO_MEMBER, "no member"),
    "in a partition that the group's topics have not": (
        facts(6, drains=Layout(old=3, new=4)),
        Cause.DRAINING,
        "has 4 partitions, and the group's topics have 3",
    ),
    "moved into a partition that drains": (facts(6, drains=Layout(old=4, new=9)), Cause.DRAINING, "event at offset 6"),
    "moved in, read by one that did not drain, and parked": (
        facts(4, parked={4: park(4, Why.FAILED, due=LATER, error="no")}, drains=Layout(old=4, new=9), boundary=5),
        Cause.PARKED_FAILED,
        "offset 4 is parked until",
    ),
    "behind what was moved in": (
        facts(9, drains=OLD_PLACE, boundary=9, page=page(of_partition={"read_position": 9})),
        Cause.DRAINING,
        "event at offset 9",
    ),
    "not read yet, before what was moved in": (
        facts(8, drains=OLD_PLACE, boundary=9, page=page(of_partition={"read_position": 2})),
        Cause.NOT_READ,
        "6 offsets are before it",
    ),
    "not read yet while nothing was moved in": (
        facts(8, drains=OLD_PLACE, page=page(of_partition={"read_position": 2})),
        Cause.NOT_READ,
        "6 offsets are before it",
    ),
    "paused before what was moved in": (
        facts(8, drains=OLD_PLACE, boundary=9, page=page(of_partition={"read_position": 7, "paused": True})),
        Cause.PAUSED,
        "1 offsets before the event at offset 8",
    ),
    "taken over while it drains": (
        facts(8, drains=OLD_PLACE, boundary=9, page=page(of_partition={"stage": "taking_over", "read_position": 7})),
        Cause.TAKING_OVER,
        "is being taken",
    ),
    "misconfigured while it drains": (
        facts(
            8,
            drains=OLD_PLACE,
            boundary=9,
            page=page(of_partition={"read_position": 7}, misconfigured_tenants=["acme/sandbox"]),
        ),
        Cause.TENANT_MISCONFIGURED,
        "acme is wrong",
    ),
    "in its old place while that drains": (
        facts(6, drains=OLD_PLACE, page=page(head(6, "call"))),
        Cause.IN_FLIGHT,
        "offset 6",
    ),
    "no owner": (facts(6, partition=partition(owner=None, address=None)), Cause.NO_OWNER, "partition 3 has no owner"),
    "rebalancing": (
        facts(6, state="preparing_rebalancing", partition=partition(owner=None, address=None)),
        Cause.REBALANCING,
        "preparing_rebalancing",
    ),
    "owner does not answer": (facts(6, page=None), Cause.OWNER_SILENT, "10.0.0.1:1 does not answer"),
    "owner without a page": (
        facts(6, page=None, partition=partition(owner="mine on 10.0.0.1", address=None)),
        Cause.OWNER_UNSEEN,
        "mine on 10.0.0.1 has no page",
    ),
    "owners are not told": (
        facts(6, state="dead", names_owners=False, page=None, partition=partition(owner=None, address=None)),
        Cause.OWNER_UNSEEN,
        "which Kafka does not tell",
    ),
    "taking over": (facts(6, page=page(of_partition={"stage": "taking_over"})), Cause.TAKING_OVER, "is being taken"),
    "not known to its owner yet": (facts(6, page=page(partitions=[])), Cause.TAKING_OVER, "is being taken over"),
    "letting go": (facts(6, page=page(of_partition={"stage": "letting_go"})), Cause.LETTING_GO, "handed over"),
    "unaccounted": (facts(4), Cause.UNACCOUNTED, "offset 4 lies below the frontier 5"),
    "settled just now": (facts(6), Cause.JUST_NOW, "was being settled"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_named(name: str) -> None:
    """The first finding has the cause, a sentence with what an operator needs, and something to do."""
    planted, cause, words = PLANTED[name]
    found = decide(planted)[0]
    assert (found.cause, found.about, found.holds) == (cause, LANE, True)
    assert words in found.says
    assert found.do.endswith(".")


ENDINGS: Mapping[str, tuple[Facts, Cause, str, str]] = {
    "applied": (
        facts(6, ended={6: ended(6, OutcomeKind.APPLIED, status=200)}),
        Cause.APPLIED,
        "was applied at 2027-01-15T08:00:00Z (1 call, status 200)",
        "Nothing",
    ),
    "superseded": (
        facts(6, ended={6: ended(6, OutcomeKind.SUPERSEDED)}),
        Cause.SUPERSEDED,
        "was superseded",
        "Nothing",
    ),
    "ignored": (
        facts(6, ended={6: ended(6, OutcomeKind.IGNORED, reason="other_type")}),
        Cause.IGNORED,
        "other_type",
        "Nothing",
    ),
    "dead": (
        facts(6, ended={6: ended(6, OutcomeKind.DEAD, reason="permanent", attempts=3)}, letters={6: 41}),
        Cause.DEAD,
        "permanent (3 calls). Its letter is in partition 3 of the group's dead letters, at offset 41.",
        "dead redrive --group sync --tenant acme --connection one --yes",
    ),
    "never seen": (facts(looked_from=0), Cause.NEVER_SEEN, "all that the topic still holds", "Check the name"),
    "not among the newest": (facts(looked_from=7), Cause.NEVER_SEEN, "the newest 3 offsets", "Check the name"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_lane_that_nothing_holds_is_told_how_it_ended(name: str) -> None:
    """The last event decides, and a dead one comes with the command that sends it again."""
    planted, cause, words, advice = ENDINGS[name]
    (found,) = decide(planted)
    assert (found.cause, found.holds) == (cause, False)
    assert words in found.says
    assert advice in found.do


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Why.BEHIND, Cause.PARKED_BEHIND),
        (Why.LANE_FULL, Cause.PARKED_FOR_ROOM),
        (Why.TENANT_FULL, Cause.PARKED_FOR_ROOM),
        (None, Cause.BEHIND),
    ],
)
def test_the_newest_event_is_told_behind_whom_it_waits(reason: Why | None, cause: Cause) -> None:
    """Whoever looks for the last webhook finds it, beside the one that holds the lane."""
    behind = {} if reason is None else {9: park(9, reason)}
    first, newest = decide(facts(6, 8, 9, parked={6: FAILED, **behind}))
    assert (first.cause, first.offset) == (Cause.PARKED_FAILED, 6)
    assert (newest.cause, newest.offset) == (cause, 9)
    assert "2 later events wait behind it" in newest.says


def test_what_only_the_page_knows_is_the_head() -> None:
    """Its record may lie before what was looked through."""
    found = decide(facts(9, looked_from=8, page=page(head(2, "call", since=NOW / 1000)), partition=partition(2)))
    assert [(each.cause, each.offset) for each in found] == [(Cause.IN_FLIGHT, 2), (Cause.BEHIND, 9)]


def test_what_the_page_still_shows_and_has_ended_holds_nothing() -> None:
    """The page is asked last, and shows an event until its outcome is acknowledged."""
    found = decide(facts(6, ended={6: ended(6, OutcomeKind.APPLIED)}, page=page(head(6, "call", since=NOW / 1000))))
    assert [each.cause for each in found] == [Cause.APPLIED]


def test_what_holds_all_of_a_tenant_is_said_once() -> None:
    """And of each other lane what holds that."""
    lanes = [
        facts(6, parked={6: park(6, Why.MISCONFIGURED)}),
        facts(7, parked={7: park(7, Why.MISCONFIGURED)}),
        facts(8, parked={8: park(8, Why.FAILED, due=LATER)}),
    ]
    found = tenant_wide("acme", lanes, in_tenants_file=True)
    assert [(each.about, each.cause) for each in found] == [
        ("acme", Cause.TENANT_MISCONFIGURED),
        (LANE, Cause.PARKED_FAILED),
    ]


@pytest.mark.parametrize(("known", "cause"), [(True, Cause.NOTHING_OPEN), (False, Cause.TENANT_UNKNOWN)])
def test_a_tenant_of_which_nothing_waits_is_told_so(known: bool, cause: Cause) -> None:  # noqa: FBT001 - a parameter
    """Or that nobody knows it, which is what a wrong name looks like."""
    assert [found.cause for found in tenant_wide("acme", [], in_tenants_file=known)] == [cause]


STAGES = st.sampled_from(["call", "pause", "lease", "slot", "of another release"])


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    """Draw facts, consistent or not: what is gathered one after the other may contradict itself."""
    offsets = draw(st.lists(st.integers(0, 9), unique=True).map(sorted))
    some = st.sets(st.sampled_from(offsets)) if offsets else st.just(set())
    shown: dict[str, Any] | None = draw(st.none() | st.builds(head, st.integers(0, 9), STAGES))
    return facts(
        *offsets,
        in_tenants_file=draw(st.none() | st.booleans()),
        state=draw(st.sampled_from(["stable", "empty", "dead", "preparing_rebalancing"])),
        names_owners=draw(st.booleans()),
        partition=partition(draw(st.none() | st.integers(0, 10)), owner=draw(st.none() | st.just("somebody"))),
        parked={at: park(at, draw(st.sampled_from(Why))) for at in draw(some)},
        ended={at: ended(at, draw(st.sampled_from(OutcomeKind))) for at in draw(some)},
        page=draw(st.none() | st.just(page(shown, parked=draw(st.none() | st.integers(0, 9))))),
    )


@given(any_facts())
def test_whatever_is_known_something_is_said(planted: Facts) -> None:
    """And it holds the lane exactly when an event of it has not ended, or nobody knows the tenant."""
    found = decide(planted)
    assert 1 <= len(found) <= 2
    assert found[0].holds == bool(planted.open or planted.in_tenants_file is False)
    assert all(each.says.endswith(".") and each.do for each in found)

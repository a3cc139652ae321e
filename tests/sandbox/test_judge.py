"""The judge finds what went wrong, and nothing in a run in which nothing did."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.calls import Call, Ending
from sandbox.judge import Verdict, judge
from sandbox.manifest import AcceptedWebhook, Counts, Manifest, SentWebhook

SYNC = "financial_connection.sync_data"
FAULTS = ("lost", "out_of_order", "overlapping", "unexpected", "altered")


def accepted(event: str, *, connection: str = "c", type_: str = SYNC, body: str | None = None) -> AcceptedWebhook:
    """Make an accepted event, with a body of its own unless one is given."""
    return AcceptedWebhook(tenant="acme", connection=connection, type=type_, body=body or event, id=event)


def call(key: str, arrived: float, ended: float | None, *, connection: str = "c", status: int | None = 200) -> Call:
    """Make a call; one without an end is still open, one without a status lost its client."""
    ending = None if ended is None else Ending.GONE if status is None else Ending.ANSWERED
    return Call(
        number=0,
        arrived=arrived,
        ended=ended,
        tenant="acme",
        environment="sandbox",
        connection=connection,
        body=key.partition(":")[0],
        key=key,
        attempt=1,
        status=None if ended is None else status,
        ending=ending,
    )


def verdict(events: list[AcceptedWebhook], calls: list[Call]) -> Verdict:
    """Judge a run in which nothing else was sent."""
    return judge(Manifest(accepted=tuple(events)), calls)


def faults(found: Verdict) -> dict[str, int]:
    """Give the counts that are faults and not zero."""
    return {name: getattr(found, name) for name in FAULTS if getattr(found, name)}


def clean_run(seed: int, lanes: int, events: int) -> tuple[list[AcceptedWebhook], list[Call]]:
    """Make a run without a fault: every lane in order, failures before successes, lanes interleaved."""
    rng = Random(seed)
    webhooks = [accepted(f"e{number}", connection=f"c{rng.randrange(lanes)}") for number in range(events)]
    free = dict.fromkeys((webhook.connection for webhook in webhooks), 0.0)
    calls = []
    for webhook in webhooks:
        for status in [*rng.choices([500, 429, None], k=rng.randrange(3)), 200]:
            arrived = free[webhook.connection] + rng.random()
            free[webhook.connection] = arrived + rng.random()
            calls.append(
                call(f"{webhook.id}:0", arrived, free[webhook.connection], connection=webhook.connection, status=status)
            )
    return webhooks, rng.sample(calls, len(calls))


RUNS = st.builds(clean_run, st.integers(), st.integers(1, 5), st.integers(2, 40))


@given(run=RUNS)
def test_a_run_without_fault_is_kept(run: tuple[list[AcceptedWebhook], list[Call]]) -> None:
    """Failed attempts before a success are no fault, in whatever order the calls are listed."""
    found = verdict(*run)
    assert found.kept
    assert (found.synced, found.repeated, faults(found)) == (len(run[0]), 0, {})


@given(run=RUNS, which=st.integers(0))
def test_taking_all_calls_of_an_event_away_is_found_as_a_loss(
    run: tuple[list[AcceptedWebhook], list[Call]], which: int
) -> None:
    """The lost event is counted and named."""
    events, calls = run
    victim = events[which % len(events)]
    found = verdict(events, [one for one in calls if one.key != f"{victim.id}:0"])
    assert (found.lost, found.synced, found.kept) == (1, len(events) - 1, False)
    assert found.examples["lost"] == (f"acme/{victim.connection} {victim.id}",)


@given(run=RUNS, which=st.integers(0))
def test_swapping_two_neighbours_of_a_lane_is_found_as_a_reordering(
    run: tuple[list[AcceptedWebhook], list[Call]], which: int
) -> None:
    """The later event's calls, made first, are the ones counted."""
    events, calls = run
    neighbours = _lane_pairs(events)
    if not neighbours:
        return
    first, second = neighbours[which % len(neighbours)]
    names = {f"{first.id}:0": f"{second.id}:0", f"{second.id}:0": f"{first.id}:0"}
    early = sum(one.key == f"{first.id}:0" for one in calls)
    found = verdict(events, [_renamed(one, names) for one in calls])
    assert faults(found) == {"out_of_order": early}


def _renamed(one: Call, names: Mapping[str, str]) -> Call:
    key = names.get(one.key, one.key)
    return replace(one, key=key, body=key.partition(":")[0])


def _lane_pairs(events: list[AcceptedWebhook]) -> list[tuple[AcceptedWebhook, AcceptedWebhook]]:
    lanes: dict[str, list[AcceptedWebhook]] = {}
    for event in events:
        lanes.setdefault(event.connection, []).append(event)
    return [pair for lane in lanes.values() for pair in pairwise(lane)]


@given(run=RUNS, which=st.integers(0))
def test_repeating_a_successful_call_is_found_as_a_repeat_and_as_nothing_else(
    run: tuple[list[AcceptedWebhook], list[Call]], which: int
) -> None:
    """A repeat at the very end breaks no promise."""
    events, calls = run
    original = [one for one in calls if one.synced][which % len(events)]
    end = max(one.ended or 0 for one in calls)
    found = verdict(events, [*calls, replace(original, arrived=end + 1, ended=end + 2)])
    assert (found.repeated, faults(found), found.kept) == (1, {}, True)


@given(run=RUNS, which=st.integers(0))
def test_a_second_call_within_the_time_of_another_is_found_as_an_overlap(
    run: tuple[list[AcceptedWebhook], list[Call]], which: int
) -> None:
    """The same call made twice at once overlaps itself."""
    events, calls = run
    original = [one for one in calls if one.synced][which % len(events)]
    assert original.ended is not None
    middle = (original.arrived + original.ended) / 2
    found = verdict(events, [*calls, replace(original, arrived=middle)])
    assert (found.overlapping, found.kept) == (1, False)


def test_calls_of_different_lanes_may_overlap() -> None:
    """Only a lane is sequential."""
    events = [accepted("a", connection="1"), accepted("b", connection="2")]
    assert verdict(events, [call("a:0", 0, 2, connection="1"), call("b:0", 1, 3, connection="2")]).kept


def test_an_open_call_overlaps_all_that_come_after_it() -> None:
    """What has not ended has no end."""
    found = verdict([accepted("a")], [call("a:0", 0, None), call("a:0", 1, 2)])
    assert faults(found) == {"overlapping": 1}


def test_a_call_may_begin_at_the_instant_at_which_the_one_before_ended() -> None:
    """A coarse clock accuses nobody."""
    assert verdict([accepted("a"), accepted("b")], [call("a:0", 0, 1), call("b:0", 1, 2)]).kept


def test_an_attempt_of_a_later_event_before_the_earlier_succeeded_is_out_of_order_even_if_it_failed() -> None:
    """The first successes are in order here, and the lane was not."""
    calls = [call("a:0", 0, 1, status=500), call("b:0", 2, 3, status=500), call("a:0", 4, 5), call("b:0", 6, 7)]
    assert faults(verdict([accepted("a"), accepted("b")], calls)) == {"out_of_order": 1}


def test_a_repeat_of_an_earlier_event_after_a_later_one_is_not_out_of_order() -> None:
    """After a crash an event whose outcome was not durable comes again."""
    calls = [call("a:0", 0, 1), call("b:0", 2, 3), call("a:0", 4, 5), call("b:0", 6, 7)]
    found = verdict([accepted("a"), accepted("b")], calls)
    assert (found.repeated, faults(found)) == (2, {})


def test_a_repeat_is_not_out_of_order_even_if_an_earlier_event_has_not_succeeded_yet() -> None:
    """Only the first call of b came too early; the second is a repeat."""
    calls = [call("b:0", 0, 1), call("b:0", 2, 3), call("a:0", 4, 5)]
    found = verdict([accepted("a"), accepted("b")], calls)
    assert (found.repeated, faults(found)) == (1, {"out_of_order": 1})


def test_events_with_equal_bodies_are_told_apart_by_their_keys() -> None:
    """Two accepted, one called: one is lost."""
    found = verdict([accepted("a"), accepted("b")], [call("a:0", 0, 1), call("a:0", 2, 3)])
    assert (found.synced, found.lost, found.repeated) == (1, 1, 1)


def test_other_types_are_ignored_and_a_call_for_one_is_unexpected() -> None:
    """Only sync_data is synced."""
    other = accepted("a", type_="transactions.updates")
    assert verdict([other], []).ignored == 1
    assert faults(verdict([other], [call("a:0", 0, 1)])) == {"unexpected": 1}


@pytest.mark.parametrize("key", ["", "x:0", "a", "a:", "a:²", "a:-1"])
def test_a_call_whose_key_is_no_accepted_events_is_unexpected(key: str) -> None:
    """Unknown events and malformed keys alike."""
    found = verdict([accepted("a")], [call("a:0", 0, 1), call(key, 2, 3)])
    assert faults(found) == {"unexpected": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        replace(call("a:0", 0, 1), body="other"),
        replace(call("a:0", 0, 1), connection="other"),
        replace(call("a:0", 0, 1), tenant="other"),
    ],
)
def test_a_call_with_another_content_than_accepted_is_altered(wrong: Call) -> None:
    """The bytes forwarded are the bytes received, under the keys of the tenant that received them."""
    found = verdict([accepted("a")], [wrong])
    assert faults(found) == {"altered": 1}


def test_a_call_for_a_webhook_without_a_clear_answer_is_unacknowledged_and_no_fault() -> None:
    """The ingress said 503 and the record was in the log all the same."""
    unsure = SentWebhook(tenant="acme", connection="c", type=SYNC, body="x")
    found = judge(Manifest(unsure=(unsure,)), [call("x:0", 0, 1)])
    assert (found.unacknowledged, found.kept) == (1, True)


def test_an_event_that_a_later_equal_one_covers_is_superseded_and_not_lost() -> None:
    """One call tells Fuse of both; nobody behind has to wait for the one that was not called."""
    events = [accepted("a", body="same"), accepted("b"), accepted("c", body="same")]
    calls = [call("b:0", 0, 1), replace(call("c:0", 1, 2), body="same")]
    found = verdict(events, calls)
    assert (found.superseded, found.synced, found.lost, found.kept) == (1, 2, 0, True)


@pytest.mark.parametrize("other", [accepted("b"), accepted("b", body="same", connection="d")])
def test_an_event_is_not_superseded_by_another_body_or_connection(other: AcceptedWebhook) -> None:
    """It is lost."""
    made = replace(call("b:0", 0, 1, connection=other.connection), body=other.body)
    found = verdict([accepted("a", body="same"), other], [made])
    assert (found.superseded, faults(found)["lost"]) == (0, 1)


def test_an_event_is_not_superseded_by_an_earlier_one() -> None:
    """What was called before it cannot have told Fuse of it."""
    found = verdict([accepted("a", body="same"), accepted("b", body="same")], [replace(call("a:0", 0, 1), body="same")])
    assert (found.superseded, found.lost) == (0, 1)


def test_a_deliberate_resend_is_counted_apart_and_makes_its_event_synced() -> None:
    """Generation 1 is no repeat and in no order."""
    calls = [call("a:0", 0, 1, status=400), call("a:1", 2, 3)]
    found = verdict([accepted("a")], calls)
    assert (found.resent, found.synced, found.repeated, faults(found)) == (1, 1, 0, {})


@pytest.mark.parametrize("count", ["forged_accepted", "genuine_refused"])
def test_a_wrong_answer_of_the_ingress_breaks_the_promises(count: str) -> None:
    """The sender saw it, and the verdict says it."""
    found = judge(Manifest(counts=Counts(**{count: 1})), [])
    assert not found.kept


def test_refused_forgeries_and_webhooks_given_up_break_no_promise() -> None:
    """They are counted."""
    found = judge(Manifest(counts=Counts(refused=3, given_up=2)), [])
    assert (found.refused, found.given_up, found.kept) == (3, 2, True)

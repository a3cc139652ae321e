"""The engine under crashes, frozen members, late writes and offset resets (promises 4 to 9)."""

import pytest

from tests.simulation.many import Summary, run_many, together
from tests.simulation.run import simulate

pytestmark = pytest.mark.timeout(300)  # other work may share the cores
RUNS = 2_000
INTERESTING = (
    "call cancelled while letting go",
    "call failed",
    "call failed since its tenant is misconfigured",
    "call failed with Retry-After",
    "call of a member that lost the partition overlaps",
    "call repeated that was open when its member went",
    "call waits for the lease",
    "claim refused",
    "clock leaps back",
    "clock leaps forwards",
    "clock leaps while its process is frozen",
    "closed door opened by a new configuration",
    "commit not answered",
    "commit of a dead member is taken",
    "commit of a past tenure dropped",
    "commit refused",
    "crash between a dead letter and its acknowledgement",
    "crash between a park and its acknowledgement",
    "crash between an outcome and the acknowledgement of its settle",
    "crash between the end of a call and the acknowledgement of its outcome",
    "crash during a call",
    "cut off from Kafka",
    "dead letter written twice",
    "dead: budget_spent",
    "dead: permanent",
    "dead: unreadable",
    "event ignored",
    "event parked",
    "event parked again",
    "event parked behind its lane",
    "event parked without a call, its tenant is misconfigured",
    "event parked, its destination is down",
    "event skipped that ended before",
    "event waits for a destination that is down",
    "frozen past the session timeout",
    "lane full",
    "mark of a member that owns nothing any more",
    "offset reset",
    "offset reset with parked events",
    "older commit lands after a newer one",
    "parked event at or above the read position",
    "parked records deleted",
    "partition lost",
    "partition moves to another member",
    "paused at the bounds",
    "probe through a closed door",
    "reading back fails on the way",
    "rewritten to keep the parked log short",
    "rival's mark seen in outcomes and claimed again",
    "rival's mark seen in parked and claimed again",
    "room made for other destinations",
    "scratch full",
    "stopped in good order",
    "stranger's mark in the owner's name",
    "stranger's mark of a higher epoch in outcomes",
    "stranger's mark of a higher epoch in parked",
    "stranger's mark of the same epoch in outcomes",
    "stranger's mark of the same epoch in parked",
    "superseded in memory",
    "superseded in the parked log",
    "takeover with parked events",
    "takeover without metadata",
    "tenant full",
    "turn given back, its destination is down",
    "turn spared, its destination went down",
    "turn taken by a later owner",
    "turn that a leaping clock has put off is not waited for",
    "turned away at a closed door",
    "void park read back",
    "write of a dead member lands",
    "write refused by a full queue",
    "zombie wakes with calls or outcomes open",
    "zombie's outcome lands behind the next owner's mark",
    "zombie's park lands behind the next owner's mark",
)


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Run all seeds once."""
    return together(list(run_many(0, RUNS)))


def test_every_run_keeps_promises_4_to_9(summary: Summary) -> None:
    """No schedule loses, reorders, overlaps, forgets or repeats beyond what is allowed."""
    texts = [f"seed {failure.seed}: {failure.text}" for failure in summary.failures]
    assert not texts, "\n".join([*texts[:5], "replay with: python -m tests.simulation SEED --trace"])
    assert summary.runs == RUNS


@pytest.mark.parametrize("what", INTERESTING)
def test_the_runs_meet_what_is_interesting(summary: Summary, what: str) -> None:
    """A simulation in which nothing goes wrong would prove nothing."""
    assert summary.seen[what] > 0


def test_a_seed_replays_exactly() -> None:
    """The same seed gives the same trace, so that a failure can be looked into."""
    first: list[str] = []
    second: list[str] = []
    simulate(7, first.append)
    simulate(7, second.append)
    assert first == second
    assert len(first) > 100

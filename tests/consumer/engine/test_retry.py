"""What happens after a failed call: how long is waited, in the lane and parked, and when it has been enough."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.lanes import Tried
from consumer.engine.retry import Backoff, Failed, LaneBudget, ParkedBudget

BACKOFFS = st.tuples(st.floats(0.001, 60), st.floats(1, 100)).map(
    lambda drawn: Backoff(initial=drawn[0], most=drawn[0] * drawn[1])
)
ATTEMPTS = st.integers(1, 100_000)
JITTERS = st.floats(0, 1, exclude_max=True)
NAMED = st.none() | st.floats(0, 1e9)
NOW = 1_790_000_000_000
TEN = Backoff(initial=10, most=100)


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=st.floats(0, 1e9))
def test_what_the_other_side_asked_for_is_never_shortened(
    backoff: Backoff, attempt: int, jitter: float, retry_after: float
) -> None:
    """Whatever the jitter, and however early the attempt."""
    assert backoff.wait(attempt, retry_after=retry_after, jitter=jitter) >= retry_after


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=NAMED)
def test_jitter_only_lengthens(backoff: Backoff, attempt: int, jitter: float, retry_after: float | None) -> None:
    """By no more than the exponential part, and by more the more of it is drawn."""
    without = backoff.wait(attempt, retry_after=retry_after, jitter=0)
    wait = backoff.wait(attempt, retry_after=retry_after, jitter=jitter)
    assert without <= wait <= backoff.wait(attempt, retry_after=retry_after, jitter=1)
    assert wait <= without + backoff.most


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS)
def test_a_wait_is_bounded_on_both_sides(backoff: Backoff, attempt: int, jitter: float) -> None:
    """Never less than the first, never more than twice the longest, not after a hundred thousand attempts either."""
    assert backoff.initial <= backoff.wait(attempt, retry_after=None, jitter=jitter) <= 2 * backoff.most


@given(backoff=BACKOFFS, attempt=ATTEMPTS, jitter=JITTERS, retry_after=NAMED)
def test_waits_do_not_become_shorter(backoff: Backoff, attempt: int, jitter: float, retry_after: float | None) -> None:
    """A further failure never makes us more impatient."""
    first, second = (backoff.wait(n, retry_after=retry_after, jitter=jitter) for n in (attempt, attempt + 1))
    assert first <= second


def test_waits_double_up_to_the_longest() -> None:
    """The numbers that an operator sees."""
    backoff = Backoff(initial=0.5, most=6)
    waits = [backoff.wait(attempt, retry_after=None, jitter=0) for attempt in range(1, 8)]
    assert waits == [0.5, 1, 2, 4, 6, 6, 6]
    assert backoff.wait(2, retry_after=30, jitter=0.5) == 30.5


def test_a_lane_waits_as_the_backoff_says_until_its_attempts_are_made() -> None:
    """Then everything behind the event in its lane has waited long enough."""
    budget = LaneBudget(backoff=TEN, attempts=3, seconds=1_000)
    waits = [budget.wait(attempt, 0, retry_after=None, jitter=0) for attempt in (1, 2, 3, 4)]
    assert waits == [10, 20, None, None]


@given(
    budget=st.builds(LaneBudget, backoff=st.just(TEN), attempts=ATTEMPTS, seconds=st.floats(0, 1e6)),
    attempt=ATTEMPTS,
    elapsed=st.floats(0, 1e6),
    retry_after=NAMED,
)
def test_no_attempt_in_a_lane_starts_after_its_time(
    budget: LaneBudget, attempt: int, elapsed: float, retry_after: float | None
) -> None:
    """A wait that would end after it is not begun: the event is parked at once."""
    needed = TEN.wait(attempt, retry_after=retry_after, jitter=0.5)
    fits = attempt < budget.attempts and elapsed + needed <= budget.seconds
    assert budget.wait(attempt, elapsed, retry_after=retry_after, jitter=0.5) == (needed if fits else None)


def test_a_parked_event_waits_by_its_turns_and_not_by_its_attempts_in_the_lane() -> None:
    """Both begin with their own first wait."""
    budget = ParkedBudget(backoff=TEN, attempts=9, seconds=9_000)
    failed = Failed(error="503", jitter=0)
    dues = [budget.due(Tried(attempts=5 + turns, turns=turns), failed, NOW) - NOW for turns in range(5)]
    assert dues == [10_000, 20_000, 40_000, 80_000, 100_000]


def test_a_parked_event_is_not_due_before_the_time_that_was_named() -> None:
    """In milliseconds, jitter on top."""
    budget = ParkedBudget(backoff=TEN, attempts=9, seconds=9_000)
    assert budget.due(Tried(), Failed(error="429", jitter=0.5, retry_after=600), NOW) - NOW == 605_000


def test_a_parked_event_has_had_enough_by_turns_or_by_age() -> None:
    """Age counts from its first call, or since it is parked, and never before it had three turns of its own."""
    budget, failed = ParkedBudget(backoff=TEN, attempts=5, seconds=100), Failed(error="503", jitter=0)
    assert not budget.spent(Tried(attempts=9, turns=4, called=NOW - 99_999), failed, NOW)
    assert budget.spent(Tried(attempts=5, turns=5, called=NOW), failed, NOW)
    assert budget.spent(Tried(attempts=3, turns=3, called=NOW - 100_000), failed, NOW)
    assert budget.spent(Tried(attempts=3, turns=3, called=NOW, since=NOW - 100_000), failed, NOW)
    assert not budget.spent(Tried(attempts=2, turns=2, called=NOW - 100_000), failed, NOW)
    assert not budget.spent(Tried(), failed, NOW)
    assert replace(budget, attempts=1).spent(Tried(attempts=1, turns=1, called=NOW - 100_000), failed, NOW)


def test_who_is_told_to_come_back_later_than_the_budget_allows_has_had_enough() -> None:
    """Its lane would wait with it; and Retry-After is never shortened."""
    budget = ParkedBudget(backoff=TEN, attempts=5, seconds=100)
    assert budget.spent(Tried(), Failed(error="429", jitter=0, retry_after=100.5), NOW)
    assert not budget.spent(Tried(), Failed(error="429", jitter=0, retry_after=100), NOW)

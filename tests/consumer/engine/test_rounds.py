"""Rounds against a naive model: whose time has come, each tenant in turn."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumer.engine.rounds import Rounds

TENANTS = tuple(bytes([letter]) for letter in b"abcd")


class RoundsMachine(RuleBasedStateMachine):
    """Keep the queue as a list, and the earliest time of everybody who is not in it."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = Rounds()
        self.queue: list[bytes] = []
        self.earliest: dict[bytes, int] = {}
        self.now = 0

    @rule(tenant=st.sampled_from(TENANTS), wait=st.integers(0, 5))
    def expect(self, tenant: bytes, wait: int) -> None:
        """Tell of a turn, of somebody who waits already or not."""
        due = self.now + wait
        self.rounds.expect(tenant, due)
        if tenant not in self.queue:
            self.earliest[tenant] = min(due, self.earliest.get(tenant, due))

    @rule(passed=st.integers(0, 3))
    def admit(self, passed: int) -> None:
        """Let time pass: the earlier is queued first."""
        self.now += passed
        self.rounds.admit(self.now)
        come = sorted((due, tenant) for tenant, due in self.earliest.items() if due <= self.now)
        for _, tenant in come:
            del self.earliest[tenant]
            self.queue.append(tenant)

    @rule(again=st.booleans())
    def take(self, *, again: bool) -> None:
        """Take the first: it comes to the end, or leaves."""
        if self.queue:
            tenant = self.queue.pop(0)
            assert self.rounds.take() == tenant
            if again:
                self.rounds.queue(tenant)
                self.queue.append(tenant)

    @invariant()
    def counts_the_queue(self) -> None:
        """Check that nobody is in it twice, or forgotten."""
        assert len(self.rounds) == len(self.queue) == len(set(self.queue))


TestRounds = RoundsMachine.TestCase
TestRounds.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


def test_what_is_expected_over_and_over_takes_no_room() -> None:
    """A tenant with one turn far ahead and others now comes and goes many times a second."""
    rounds = Rounds()
    for now in range(10_000):
        rounds.expect(b"a", 1_000_000)
        rounds.expect(b"a", now)
        rounds.admit(now)
        assert rounds.take() == b"a"
    assert rounds.kept < 200

"""The schedule against a naive model: one of each tenant in turn, the oldest of a tenant first."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumer.engine.schedule import Schedule

TENANTS = ("acme", "blue", "cyan")


class ScheduleMachine(RuleBasedStateMachine):
    """Keep everything in one list in the order in which it came, and the tenants in the order of their turns."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[tuple[str, int]] = Schedule()
        self.ready: list[tuple[str, int]] = []
        self.turns: list[str] = []
        self.added = 0

    @rule(tenant=st.sampled_from(TENANTS))
    def add(self, tenant: str) -> None:
        """Make something ready; a tenant that had nothing takes its turn behind all others."""
        self.added += 1
        item = (tenant, self.added)
        self.schedule.add(tenant, item)
        self.ready.append(item)
        if tenant not in self.turns:
            self.turns.append(tenant)

    @rule()
    def take(self) -> None:
        """Take what is next."""
        if not self.turns:
            assert self.schedule.take() is None
            return
        tenant = self.turns.pop(0)
        item = next(item for item in self.ready if item[0] == tenant)
        self.ready.remove(item)
        if any(item[0] == tenant for item in self.ready):
            self.turns.append(tenant)
        assert self.schedule.take() == item

    @invariant()
    def counts_what_is_ready(self) -> None:
        """Nothing is lost or doubled."""
        assert len(self.schedule) == len(self.ready)


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


@given(st.dictionaries(st.sampled_from(TENANTS), st.integers(1, 50), min_size=1))
def test_while_two_tenants_have_something_ready_neither_gets_more_than_one_ahead(ready: dict[str, int]) -> None:
    """However much one of them has waiting (promise 11)."""
    schedule: Schedule[str] = Schedule()
    for tenant, count in ready.items():
        for _ in range(count):
            schedule.add(tenant, tenant)
    given_out: Counter[str] = Counter()
    while (taken := schedule.take()) is not None:
        given_out[taken] += 1
        counts = [given_out[other] for other in ready if given_out[other] < ready[other]]
        assert all(given_out[taken] <= count + 1 for count in counts)
    assert given_out == ready

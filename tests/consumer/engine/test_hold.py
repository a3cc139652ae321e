"""The hold of a destination, against a model that remembers every call."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.engine.hold import Hold, HoldPolicy, HoldState

POLICY = HoldPolicy(share=0.5, failures=3, window=2_000, probe=500, ramp=2, ramp_time=3_000)
BUCKET = POLICY.window // 20


def opened(policy: HoldPolicy = POLICY) -> Hold:
    """Give a hold that has just opened, at 1,000."""
    hold = Hold(policy)
    assert [hold.failed(1_000, 900, fresh=True) for _ in range(3)] == [False, False, True]
    return hold


@dataclass
class Start:
    """A call that started, and in which state of the hold."""

    at: int
    state: HoldState
    ramp_began: int


class Machine(RuleBasedStateMachine):
    """Start calls, end them in any order, let time pass: the hold does as its model, which forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = Hold(POLICY)
        self.now = 10_000
        self.going: list[int] = []
        self.starts: list[Start] = []
        self.reports: list[tuple[int, bool]] = []
        self.state, self.since, self.changed = HoldState.CLOSED, 0, 0

    @initialize(calls=st.integers(0, 6))
    def begin(self, calls: int) -> None:
        """Have some calls under way."""
        self.going += [self.now] * calls

    @rule(milliseconds=st.sampled_from([1, 20, 100, 499, 500, 1_000, 3_000]))
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds
        self._end_ramp()

    @rule(calls=st.integers(1, 8))
    def start(self, calls: int) -> None:
        """Ask for permissions."""
        for _ in range(calls):
            due = self.hold.is_due(self.now)
            assert self.hold.may_start(self.now) is due
            assert due or self.state is not HoldState.CLOSED
            if due:
                self.going.append(self.now)
                self.starts.append(Start(self.now, self.state, self.changed))

    @precondition(lambda self: self.going)
    @rule(which=st.integers(0, 100), failed=st.booleans())
    def end(self, which: int, *, failed: bool) -> None:
        """Let a call end: the destination was down, or it answered in whatever way."""
        began = self.going.pop(which % len(self.going))
        late, was_open = began < self.since, self.state is HoldState.OPEN
        if not late and was_open and not failed:
            self._change(HoldState.RAMP, since=self.now)
            self.reports = []
        elif not late and not was_open:
            self.reports.append((self.now, failed))
            if failed and self._too_much():
                self._change(HoldState.OPEN, since=self.now + 1)
        if failed:
            assert self.hold.failed(self.now, began, fresh=True) is (late or self.state is HoldState.OPEN)
        else:
            self.hold.succeeded(self.now, began)

    @invariant()
    def is_in_the_models_state(self) -> None:
        """Neither opens without cause nor stays closed with one, and the same for the ramp."""
        self.hold.advance(self.now)
        assert self.hold.state is self.state

    @invariant()
    def never_more_than_a_probe_an_interval(self) -> None:
        """However probes end, or do not."""
        for earlier, later in zip(self.starts, self.starts[1:], strict=False):
            if earlier.state is later.state is HoldState.OPEN:
                assert later.at - earlier.at >= POLICY.probe

    @invariant()
    def never_more_in_any_second_than_the_ramp_allows(self) -> None:
        """Over every stretch of a second, wherever it begins."""
        for last in self.starts[-8:]:
            if last.state is HoldState.RAMP:
                begun = last.ramp_began
                second = [each for each in self.starts if max(begun, last.at - 999) <= each.at <= last.at]
                in_ramp = [each for each in second if each.state is HoldState.RAMP]
                assert len(in_ramp) <= POLICY.ramp * (1 + (last.at - begun) // 1_000)

    def _too_much(self) -> bool:
        oldest = self.now // BUCKET - 20
        recent = [failed for at, failed in self.reports if at // BUCKET >= oldest]
        return sum(recent) >= POLICY.failures and sum(recent) >= POLICY.share * len(recent)

    def _end_ramp(self) -> None:
        if self.state is HoldState.RAMP and self.now - self.changed >= POLICY.ramp_time:
            self.state = HoldState.CLOSED

    def _change(self, state: HoldState, since: int) -> None:
        self.state, self.since, self.changed = state, since, self.now


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_answers_of_any_kind_never_open_it() -> None:
    """A tenant's wrong keys are answered: the destination works."""
    hold = Hold(POLICY)
    for at in range(1_000):
        hold.succeeded(at, at)
    assert hold.state is HoldState.CLOSED


def test_a_probe_that_never_reports_blocks_the_next_for_an_interval_only() -> None:
    """Its task may have been cancelled."""
    hold = opened()
    asked = range(1_000, 3_000, 100)
    assert [at for at in asked if hold.may_start(at)] == [1_500, 2_000, 2_500]


def test_only_a_call_that_began_after_it_opened_begins_the_ramp() -> None:
    """An answer that was on its way before does not say that the destination works again."""
    hold, states = opened(), []
    hold.succeeded(1_400, 950)
    states.append(hold.state)
    assert hold.may_start(1_500)
    hold.succeeded(1_600, 1_500)
    assert [*states, hold.state] == [HoldState.OPEN, HoldState.RAMP]


def test_late_failures_do_not_open_it_again_and_are_spared() -> None:
    """Time-outs of an outage come in long after it."""
    hold = opened()
    hold.may_start(1_500)
    hold.succeeded(1_600, 1_500)
    assert all(hold.failed(1_700, 950, fresh=True) for _ in range(50))
    states = [hold.state]
    assert [hold.failed(1_800, 1_700, fresh=True) for _ in range(3)] == [False, False, True]
    assert [*states, hold.state] == [HoldState.RAMP, HoldState.OPEN]


def test_who_fails_again_and_again_makes_no_destination_look_down() -> None:
    """A few hopeless connections at night, when little else is called; in a ramp everything counts."""
    hold = Hold(POLICY)
    assert not any(hold.failed(1_000, 900, fresh=False) for _ in range(50))
    states = [hold.state]
    for _ in range(POLICY.failures):
        hold.failed(1_100, 1_050, fresh=True)
    assert hold.may_start(1_100 + POLICY.probe)
    hold.succeeded(1_200 + POLICY.probe, 1_100 + POLICY.probe)
    states.append(hold.state)
    for _ in range(POLICY.failures):
        hold.failed(1_300 + POLICY.probe, 1_250 + POLICY.probe, fresh=False)
    assert [*states, hold.state] == [HoldState.CLOSED, HoldState.RAMP, HoldState.OPEN]

"""The failure plan decides by values alone."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plan import Answer, Attempt, Decision, Hang, Plan, Reset, Rule, decide, load_plan, parse_plan, retry_after
from schemas.errors import ConfigurationError

BROKEN = Answer(do="answer", status=503)


def attempt(
    *, tenant: str = "acme", connection: str = "c-1", event: str = "e:0", number: int = 1, elapsed: float = 0.0
) -> Attempt:
    """Make an attempt of which only what matters is named."""
    return Attempt(tenant=tenant, connection=connection, event=event, number=number, elapsed=elapsed)


def fails(rule: Rule, call: Attempt) -> bool:
    """Say whether a plan of this one rule fails the call."""
    return decide(Plan(rules=(rule,)), call).action is not None


def test_without_a_rule_every_call_is_synced_after_the_plans_delay() -> None:
    """No rule, no failure."""
    assert decide(Plan(delay=0.25), attempt()) == Decision(delay=0.25)


def test_a_rule_befalls_the_tenants_and_connections_that_it_names_exactly_or_by_glob() -> None:
    """Names match themselves, globs match what they cover, in both places at once."""
    rule = Rule(tenant="acme", connection="c-*", action=BROKEN)
    assert fails(rule, attempt())
    assert not fails(rule, attempt(tenant="acme2"))
    assert not fails(rule, attempt(connection="d-1"))


def test_a_rule_befalls_calls_from_since_up_to_but_not_at_until() -> None:
    """The window is half open."""
    rule = Rule(since=10, until=20, action=BROKEN)
    assert [fails(rule, attempt(elapsed=moment)) for moment in (9.9, 10, 19.9, 20)] == [False, True, True, False]


def test_a_failure_limited_to_first_attempts_ends() -> None:
    """The attempt after the last limited one is synced."""
    rule = Rule(first_attempts=2, action=BROKEN)
    assert [fails(rule, attempt(number=number)) for number in (1, 2, 3)] == [True, True, False]


def test_the_first_matching_rule_decides() -> None:
    """Later rules are for what earlier ones left."""
    plan = Plan(rules=(Rule(tenant="acme", action=Hang(do="hang")), Rule(action=Reset(do="reset"))))
    assert decide(plan, attempt()).action == Hang(do="hang")
    assert decide(plan, attempt(tenant="dune")).action == Reset(do="reset")


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_a_share_befalls_about_that_share_of_calls(share: float, seed: int) -> None:
    """Two thousand events are within five standard deviations of the share."""
    plan = Plan(seed=seed, rules=(Rule(share=share, action=BROKEN),))
    failed = sum(decide(plan, attempt(event=f"e{number}")).action is not None for number in range(2000))
    assert abs(failed / 2000 - share) < 5 * (share * (1 - share) / 2000) ** 0.5


@given(event=st.text(), number=st.integers(1, 50), seed=st.integers())
def test_the_same_seed_and_call_are_decided_the_same(event: str, number: int, seed: int) -> None:
    """Nothing but the arguments decides, lone surrogates in them included."""
    plan = Plan(seed=seed, delay=(0.0, 1.0), rules=(Rule(share=0.5, action=BROKEN),))
    call = attempt(event=event, number=number)
    assert decide(plan, call) == decide(plan.model_copy(), call)


def test_another_attempt_of_an_event_draws_anew() -> None:
    """So a share of calls, unlike a share of events, lets every event through in the end."""
    plan = Plan(rules=(Rule(share=0.5, action=BROKEN),))
    assert len({decide(plan, attempt(number=number)).action is None for number in range(1, 30)}) == 2


@given(number=st.integers(1, 1000))
def test_a_range_of_delays_is_kept(number: int) -> None:
    """Every drawn delay is within the range."""
    assert 0.1 <= decide(Plan(delay=(0.1, 0.3)), attempt(number=number)).delay < 0.3


def test_an_action_may_have_a_delay_of_its_own() -> None:
    """A late sync has no error; an answer without a delay takes the plan's."""
    late = {"do": "late", "delay": 4}
    plan = Plan.model_validate({"delay": 1, "rules": [{"tenant": "acme", "action": late}, {"action": BROKEN}]})
    assert decide(plan, attempt()) == Decision(delay=4)
    assert decide(plan, attempt(tenant="dune")) == Decision(delay=1, action=BROKEN)


@given(moment=st.floats(1.6e9, 4e9), wait=st.integers(0, 3600))
def test_a_retry_date_never_shortens_the_wait(moment: float, wait: int) -> None:
    """Dates have whole seconds, so they are rounded up."""
    now = datetime.fromtimestamp(moment, UTC)
    text = retry_after(Answer(do="answer", status=429, retry_after=wait, retry_after_form="date"), now)
    assert text is not None
    ahead = (parsedate_to_datetime(text) - now).total_seconds()
    assert wait <= ahead < wait + 1


def test_retry_after_in_seconds_is_written_as_given_and_absent_when_not_given() -> None:
    """Seconds are a bare number."""
    assert retry_after(Answer(do="answer", status=429, retry_after=7), datetime.now(UTC)) == "7"
    assert retry_after(BROKEN, datetime.now(UTC)) is None


def test_a_plan_is_read_from_toml_and_json(tmp_path: Path) -> None:
    """The file's name says which."""
    (tmp_path / "plan.toml").write_text('delay = [0.1, 0.2]\n[[rules]]\nshare = 0.5\naction = { do = "hang" }\n')
    (tmp_path / "plan.json").write_text('{"delay": [0.1, 0.2], "rules": [{"share": 0.5, "action": {"do": "hang"}}]}')
    wanted = Plan(delay=(0.1, 0.2), rules=(Rule(share=0.5, action=Hang(do="hang")),))
    assert load_plan(tmp_path / "plan.toml") == load_plan(tmp_path / "plan.json") == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("delay = [2, 1]", "a range of delays starts with the shorter one"),
        ("dealy = 1", "dealy: Extra inputs"),
        ('[[rules]]\naction = { do = "answer", status = 200 }', "rules.0.action.answer.status"),
        ("[[rules]]\nshare = 1.5\naction = { do = 'hang' }", "rules.0.share"),
        ("rules = ", "is not TOML"),
    ],
)
def test_a_bad_plan_is_refused_with_the_place_of_the_fault(text: str, sentence: str) -> None:
    """Whoever writes a plan learns where it is wrong."""
    with pytest.raises(ConfigurationError, match=sentence):
        parse_plan(text.encode(), json=False)


def test_all_faults_of_a_plan_are_reported_together() -> None:
    """Two faults, two sentences."""
    with pytest.raises(ConfigurationError) as caught:
        parse_plan(b'{"delay": -1, "seed": "x"}', json=True)
    assert len({fault.partition(":")[0].partition(".")[0] for fault in caught.value.faults}) == 2


def test_a_missing_plan_file_is_named(tmp_path: Path) -> None:
    """The path is in the sentence."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read"):
        load_plan(tmp_path / "nowhere.toml")

"""The budget of a tenant: as many webhooks as the limit allows, over any stretch of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.rate import Rate, spend
from schemas.errors import OverLimit

_RATES = st.builds(Rate, limit=st.floats(0.01, 10_000), burst=st.integers(1, 50))
_GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=80)


def _accepted(rate: Rate, gaps: list[float]) -> list[float]:
    """Give the times at which webhooks were let in, out of those that came after each gap."""
    now, paid_until, accepted = 0.0, 0.0, []
    for gap in gaps:
        now += gap
        try:
            paid_until = spend(rate, paid_until=paid_until, now=now)
        except OverLimit:
            continue
        accepted.append(now)
    return accepted


@given(_RATES, _GAPS)
def test_no_stretch_of_time_sees_more_than_the_burst_and_what_the_limit_adds(rate: Rate, gaps: list[float]) -> None:
    """Whatever the arrivals, in each stretch between two accepted webhooks."""
    times = _accepted(rate, gaps)
    for i, first in enumerate(times):
        for j, last in enumerate(times[i:], start=1):
            assert j <= rate.burst + (last - first + 2e-6) * rate.limit + 1e-6


@given(_RATES, st.floats(0, 1e6))
def test_who_waits_as_long_as_told_is_let_in(rate: Rate, now: float) -> None:
    """And who waits half as long is not: Retry-After is the truth."""
    paid_until = now + rate.burst / rate.limit
    with pytest.raises(OverLimit) as refused:
        spend(rate, paid_until=paid_until, now=now)
    assert refused.value.retry_after == pytest.approx(1 / rate.limit, abs=1e-6)
    assert spend(rate, paid_until=paid_until, now=now + refused.value.retry_after) > paid_until
    with pytest.raises(OverLimit):
        spend(rate, paid_until=paid_until, now=now + refused.value.retry_after / 2)


@given(_RATES)
def test_a_whole_burst_is_let_in_at_once_after_silence(rate: Rate) -> None:
    """And the next one is not."""
    assert len(_accepted(rate, [100_000.0, *[0.0] * (rate.burst + 5)])) == rate.burst


@given(_RATES, st.integers(1, 50))
def test_who_keeps_to_the_limit_is_never_refused(rate: Rate, count: int) -> None:
    """Arrivals at exactly the limit, up to rounding."""
    assert len(_accepted(rate, [1 / rate.limit * (1 + 1e-9)] * count)) == count

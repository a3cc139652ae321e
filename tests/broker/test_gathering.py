"""Gathering: long where the CPU is scarce, short where somebody could be answered sooner."""

from hypothesis import given
from hypothesis import strategies as st

from broker.gathering import Gathering, gather_seconds


def test_who_has_time_gathers_hardly_at_all_and_who_has_none_for_long() -> None:
    """A saturated ingress takes more webhooks, an idle one answers them sooner."""
    assert gather_seconds(0.0) == gather_seconds(0.4) == 0.002
    assert gather_seconds(0.85) == gather_seconds(1.0) == 0.012


@given(st.floats(0, 2), st.floats(0, 2))
def test_the_busier_the_longer(one: float, other: float) -> None:
    """Without a jump that would make it swing."""
    least, most = sorted((one, other))
    assert gather_seconds(least) <= gather_seconds(most)
    assert gather_seconds(most) - gather_seconds(least) <= 0.04 * (most - least) + 1e-9


def test_it_follows_the_thread_within_a_few_looks() -> None:
    """What counts is the CPU time since the last look that counted, not since the start."""
    gathering = Gathering()
    now = spent = 100.0
    for busy, expected in ((1.0, 0.012), (0.1, 0.002), (1.0, 0.012)):
        for _ in range(20):
            now, spent = now + 0.002, spent + 0.002 * busy
            gathering.look(now, spent)
        assert gathering.seconds == expected


def test_one_look_at_a_busy_moment_changes_nothing() -> None:
    """Between two looks close to each other the thread is either on or off."""
    gathering = Gathering()
    gathering.look(100.0, 50.0)
    gathering.look(100.02, 50.0)
    gathering.look(100.022, 50.002)
    assert gathering.seconds == 0.002

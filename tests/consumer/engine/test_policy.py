"""What a partition may hold: where reading stops, and where it goes on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.policy import Bounds, Load, has_room, is_full

BOUNDS = Bounds(events=100, bytes=1_000, distance=200, turns=10, scratch=10_000)
NOTHING = Load(events=0, bytes=0, distance=0, writing=0, scratch=0)
NUMBERS = st.integers(0, 20_000)
LOADS = st.builds(Load, events=NUMBERS, bytes=NUMBERS, distance=NUMBERS, writing=NUMBERS, scratch=NUMBERS)


@pytest.mark.parametrize(
    ("name", "full", "low"),
    [
        ("events", 100, 50),
        ("bytes", 1_000, 500),
        ("distance", 200, 100),
        ("writing", 100, 50),
        ("scratch", 10_000, 9_000),
    ],
)
def test_each_bound_stops_reading_for_itself_and_well_below_it_reading_goes_on(name: str, full: int, low: int) -> None:
    """Promise 9. Writes on their way are held in memory like events, so their bound is the same."""
    assert is_full(replace(NOTHING, **{name: full}), BOUNDS)
    assert not is_full(replace(NOTHING, **{name: full - 1}), BOUNDS)
    assert has_room(replace(NOTHING, **{name: low}), BOUNDS)
    assert not has_room(replace(NOTHING, **{name: low + 1}), BOUNDS)


@given(LOADS)
def test_what_is_full_has_no_room(load: Load) -> None:
    """Or reading would stop and go on in turns."""
    assert not (is_full(load, BOUNDS) and has_room(load, BOUNDS))


def test_nothing_has_room_within_the_narrowest_bounds() -> None:
    """A member with many partitions gives each very little, and none may stand still for that."""
    narrowest = Bounds(events=1, bytes=1, distance=1, turns=1, scratch=1)
    assert has_room(NOTHING, narrowest)
    assert not is_full(NOTHING, narrowest)

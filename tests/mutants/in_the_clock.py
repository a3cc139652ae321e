"""Bugs planted in what is done when a clock leaps: each makes events wait for a time that is years off."""

from collections.abc import Iterator
from contextlib import contextmanager

from consumer.engine.doors import Doors
from consumer.engine.parking import Parking
from consumer.engine.partition import PartitionEngine
from consumer.scratch import Scratch
from tests.consumer.engine.test_doors import (
    test_a_clock_that_leapt_back_leaves_no_door_closed_for_longer_than_an_interval,
)
from tests.consumer.engine.test_leaping_clock import (
    test_a_park_that_is_acknowledged_only_after_the_clock_was_set_back_waits_no_longer_either,
)
from tests.mutants.mutant import Mutant, replaced

_OFFER = Parking.offer


@contextmanager
def _time_never_goes_back() -> Iterator[None]:
    def tell(self: PartitionEngine, now: int) -> None:
        vars(self)["latest"] = max(now, vars(self).get("latest", 0))

    type.__setattr__(PartitionEngine, "_now", property(lambda self: vars(self)["latest"], tell))
    try:
        yield
    finally:
        type.__delattr__(PartitionEngine, "_now")


def _offer_for_any_time(self: Parking, lane: bytes, changed: int | None = None) -> None:
    latest, self._latest = self._latest, 1 << 62
    _OFFER(self, lane, changed)
    self._latest = latest


def _probe_when_the_clock_says(self: Doors, door: bytes, now: int) -> bool:
    if door in self.held or self._probes.get(door, now + 1) > now:
        return False
    self._probes[door] = now + self._interval
    return True


CLOCK = (
    Mutant(
        "time never goes back",
        "what waits goes on by the clock as it is",
        _time_never_goes_back,
        rare=396,
    ),
    Mutant(
        "turns stay where a leap has put them",
        "no turn is further off than the longest wait",
        lambda: replaced(Scratch, "bring_forward", lambda *_: None),
    ),
    Mutant(
        "turns are offered for any time",
        "no turn is further off than the longest wait",
        lambda: replaced(Parking, "offer", _offer_for_any_time),
        test=test_a_park_that_is_acknowledged_only_after_the_clock_was_set_back_waits_no_longer_either,
    ),
    Mutant(
        "a closed door waits for the time of a leap",
        "no probe is further off than an interval",
        lambda: replaced(Doors, "take_probe", _probe_when_the_clock_says),
        test=test_a_clock_that_leapt_back_leaves_no_door_closed_for_longer_than_an_interval,
    ),
)

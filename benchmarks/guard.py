"""Whether the engine has become slower: its cost per event, in turns of a loop that does what such code does.

`python -m benchmarks.guard` prints the costs; `tests/test_engine_speed.py` compares them with those below. Both are
measured by turns in one process, as CPU time, and the best of several counts, so that a busy or another machine changes
little: what is compared is a ratio.
"""

import gc
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from benchmarks.engine import FAILED, Driver, Source

COSTS: Mapping[str, float] = {"plain": 11.5, "parking": 88.0}
"""Turns of the loop that one event costs, as measured when the engine was last changed on purpose."""
ALLOWED = 1.3
"""Beyond so many times that, the engine has become slower."""

_ROUNDS = 7
_TURNS = 20_000
_EVENTS = 2_000
_KEYS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    number: int
    key: str


def costs() -> dict[str, float]:
    """Measure what an event costs, plain and parked, in turns of the loop."""
    works: dict[str, Callable[[], float]] = {"loop": _loop, "plain": _plain, "parking": _parking}
    best = dict.fromkeys(works, float("inf"))
    gc.collect()
    gc.disable()  # when it comes depends on what else the process holds; in production it hardly does
    try:
        for _ in range(_ROUNDS):
            for name, work in works.items():
                best[name] = min(best[name], work())
    finally:
        gc.enable()
    return {name: best[name] / best["loop"] for name in COSTS}


def _loop() -> float:
    """Make, keep, find and drop small things; give the seconds that one turn costs."""
    began = time.process_time()
    kept: dict[str, _Item] = {}
    waiting: deque[_Item] = deque()
    for number in range(_TURNS):
        item = _Item(number=number, key=f"key-{number % _KEYS}")
        kept[item.key] = item
        waiting.append(item)
        if len(waiting) > _KEYS:
            kept.pop(waiting.popleft().key, None)
    return (time.process_time() - began) / _TURNS


def _plain() -> float:
    return _seconds_per_event(Driver())


def _parking() -> float:
    driver = Driver()
    driver.result = FAILED
    return _seconds_per_event(driver)


def _seconds_per_event(driver: Driver) -> float:
    driver.take_over(iter(()))
    events = list(islice(Source(_KEYS), _EVENTS))
    began = time.process_time()
    driver.read(events)
    return (time.process_time() - began) / _EVENTS


if __name__ == "__main__":
    print(json.dumps(costs(), indent=2))

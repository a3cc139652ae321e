"""A mutant: one bug, planted in memory for as long as the simulation looks for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.simulation.run import Failure, simulate


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: its name, the rule of the takeover (or the history of other projects) that it breaks, and the patch."""

    name: str
    rule: str
    planted: Callable[[], AbstractContextManager[None]]


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute, and put it back."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def catch(mutant: Mutant, seeds: int) -> Failure | None:
    """Look for the first of so many seeds whose run breaks a promise; None if the mutant survives."""
    with mutant.planted():
        for seed in range(seeds):
            failure = simulate(seed).failure
            if failure is not None:
                return failure
    return None

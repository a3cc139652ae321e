"""A mutant: one bug, planted in memory for as long as the simulation looks for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.simulation.run import Failure, simulate


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: its name, the rule of the takeover (or the history of other projects) that it breaks, and the patch.

    `rare` is a seed that is known to find a bug which few do. It is tried first, to save time: when a change of the
    code has given that seed another course, the usual hunt follows.
    """

    name: str
    rule: str
    planted: Callable[[], AbstractContextManager[None]]
    rare: int | None = None


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute, and put it back."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def both(first: AbstractContextManager[None], second: AbstractContextManager[None]) -> Iterator[None]:
    """Plant two halves of a bug."""
    with first, second:
        yield


def catch(mutant: Mutant, seeds: int) -> Failure | None:
    """Look for the first of so many seeds whose run breaks a promise; None if the mutant survives."""
    with mutant.planted():
        for seed in range(seeds) if mutant.rare is None else (mutant.rare, *range(seeds)):
            failure = simulate(seed).failure
            if failure is not None:
                return failure
    return None

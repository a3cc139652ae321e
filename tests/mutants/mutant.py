"""A mutant: one bug, planted in memory for as long as the simulation looks for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.simulation.run import Failure, simulate


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: its name, the rule of the takeover (or the history of other projects) that it breaks, and the patch.

    `rare` is a seed that is known to find a bug which the first seeds do not. It is tried first, to save time: when a
    change of the code has given that seed another course, the usual hunt follows, and shows the next such seed. `test`
    is one that fails for a bug which hardly any seed meets.
    """

    name: str
    rule: str
    planted: Callable[[], AbstractContextManager[None]]
    rare: int | None = None
    test: Callable[[], None] | None = None


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
    """Let the mutant's test fail, or look for the first of so many seeds that breaks a promise; None if it survives."""
    with mutant.planted():
        if mutant.test is not None and (failure := _failure(mutant.test)) is not None:
            return failure
        for seed in range(seeds) if mutant.rare is None else (mutant.rare, *range(seeds)):
            failure = simulate(seed).failure
            if failure is not None:
                return failure
    return None


def _failure(test: Callable[[], None]) -> Failure | None:
    try:
        test()
    except AssertionError as error:
        return Failure(seed=-1, check=test.__name__, text=str(error))
    return None

"""One run: everything follows from the seed."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from sqlite3 import Error as SqliteError

from schemas.errors import FuseSyncError
from tests.simulation.chaos import Chaos
from tests.simulation.facts import Violation
from tests.simulation.setup import draw_setup
from tests.simulation.world import World

_QUIET_SECONDS = 240.0
"""So long after the last trouble everything has ended: longer than all time-outs and waits one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A seed whose run broke a promise."""

    seed: int
    check: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came out of a run, and how often interesting things happened in it."""

    failure: Failure | None
    seen: Counter[str]


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> Report:
    """Run a seed. An error of the engine's own counts as a broken promise: a member would have ended with it."""
    rng = Random(seed)
    setup = draw_setup(rng)
    world = World(setup=setup, rng=rng, trace=trace)
    if trace is not None:
        trace(f"seed {seed}: {setup}")
    try:
        _run(world)
    except Violation as violation:
        failure = Failure(seed=seed, check=violation.check, text=str(violation))
    except (
        *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
        *(FuseSyncError, SqliteError),
    ) as error:
        if trace is not None:
            raise
        failure = Failure(seed=seed, check="engine fails", text=repr(error))
    else:
        return Report(failure=None, seen=world.audit.seen)
    return Report(failure=failure, seen=world.audit.seen)


def _run(world: World) -> None:
    chaos = Chaos(world)
    world.scheduler.run(world.setup.chaos + _QUIET_SECONDS, lambda: world.done and chaos.over)
    world.check_end()

"""Every mutant, and the hunt for them on all cores."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.mutants.in_the_clock import CLOCK
from tests.mutants.in_the_driver import DRIVER
from tests.mutants.in_the_engine import ENGINE
from tests.mutants.in_the_parking import PARKING
from tests.mutants.in_the_takeover import TAKEOVER
from tests.mutants.mutant import catch
from tests.simulation.many import collect_rarely
from tests.simulation.run import Failure

MUTANTS = (*TAKEOVER, *ENGINE, *PARKING, *CLOCK, *DRIVER)


def catch_each(seeds: int) -> list[Failure | None]:
    """Give for each mutant the first of so many seeds that finds it; None for one that survives."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), initializer=collect_rarely) as pool:
        return list(pool.map(partial(_catch, seeds), range(len(MUTANTS))))


def _catch(seeds: int, number: int) -> Failure | None:
    return catch(MUTANTS[number], seeds)

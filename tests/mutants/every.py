"""Every mutant, and the hunt for them on all cores.

Rules of the takeover that speak of parked events, dead letters and superseding have none yet: nor has the code.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.mutants.in_the_driver import DRIVER
from tests.mutants.in_the_engine import ENGINE
from tests.mutants.mutant import catch
from tests.simulation.run import Failure

MUTANTS = (*ENGINE, *DRIVER)


def catch_each(seeds: int) -> list[Failure | None]:
    """Give for each mutant the first of so many seeds that finds it; None for one that survives."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(_catch, seeds), range(len(MUTANTS))))


def _catch(seeds: int, number: int) -> Failure | None:
    return catch(MUTANTS[number], seeds)

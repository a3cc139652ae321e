"""`python -m tests.mutants`: plant one bug after another, and show which check of the simulation finds it."""

import argparse
import sys

from tests.mutants.every import MUTANTS, catch_each
from tests.simulation.run import Failure


def main() -> int:
    """Give the exit status: 1 if a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5_000, help="how many seeds a mutant has to survive")
    seeds = parser.parse_args().seeds
    caught = catch_each(seeds)
    for mutant, failure in zip(MUTANTS, caught, strict=True):
        found = _by(failure) if failure else f"SURVIVES {seeds} seeds"
        sys.stdout.write(f"{mutant.name:<46} {mutant.rule:<58} {found}\n")
    return 0 if all(caught) else 1


def _by(failure: Failure) -> str:
    return failure.check if failure.seed < 0 else f"{failure.check}, seed {failure.seed}"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.simulation`: run many seeds, or replay one with `--trace`."""

import argparse
import sys
import time

from tests.simulation.many import Summary, run_many, together
from tests.simulation.run import simulate


def main() -> int:
    """Give the exit status: 1 if a promise was broken."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, trace=options.trace)
    return _many(options.seeds, options.first)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="replay this seed alone")
    parser.add_argument("--trace", action="store_true", help="print what happens in it, line by line")
    parser.add_argument("--seeds", type=int, default=100_000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    return parser.parse_args()


def _replay(seed: int, *, trace: bool) -> int:
    report = simulate(seed, _print if trace else None)
    _print(f"seed {seed}: {report.failure.text if report.failure else 'every promise kept'}")
    return 1 if report.failure else 0


def _many(count: int, first: int) -> int:
    begun, summaries = time.monotonic(), []
    for summary in run_many(first, count):
        summaries.append(summary)
        for failure in summary.failures:
            _print(f"FAILED, replay with: python -m tests.simulation {failure.seed} --trace\n  {failure.text}")
    _report(together(summaries), time.monotonic() - begun)
    return 1 if any(summary.failures for summary in summaries) else 0


def _report(summary: Summary, seconds: float) -> None:
    for what, runs in sorted(summary.seen.items(), key=lambda item: -item[1]):
        _print(f"{runs:>8}  {what}")
    _print(f"{summary.runs} runs in {seconds:.1f} s, {len(summary.failures)} failed; numbers of runs, above")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

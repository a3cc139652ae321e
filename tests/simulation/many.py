"""Many runs, on all cores."""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.run import Failure, simulate

_CHUNK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came out of some runs: those that failed, and in how many of them something interesting happened."""

    runs: int
    failures: tuple[Failure, ...]
    seen: Counter[str]


def run_chunk(seeds: Sequence[int]) -> Summary:
    """Run some seeds, in this process."""
    seen: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        report = simulate(seed)
        seen.update(report.seen.keys())
        if report.failure is not None:
            failures.append(report.failure)
    return Summary(runs=len(seeds), failures=tuple(failures), seen=seen)


def collect_rarely() -> None:
    """Look for garbage rarely: most of what a run makes lives until its end, and what is imported lives for ever.

    But not so rarely that the garbage of many runs no longer fits into the cache: 100,000 made runs slower than 10,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def run_many(first: int, count: int, processes: int | None = None) -> Iterator[Summary]:
    """Run so many seeds from the first on; give a summary for each chunk as it ends."""
    chunks = [range(at, min(at + _CHUNK, first + count)) for at in range(first, first + count, _CHUNK)]
    with ProcessPoolExecutor(processes or os.cpu_count(), get_context("spawn"), initializer=collect_rarely) as pool:
        for chunk in as_completed([pool.submit(run_chunk, chunk) for chunk in chunks]):
            yield chunk.result()


def together(summaries: Sequence[Summary]) -> Summary:
    """Add summaries up; failures by rising seed."""
    failures = sorted((failure for summary in summaries for failure in summary.failures), key=lambda one: one.seed)
    return Summary(
        runs=sum(summary.runs for summary in summaries),
        failures=tuple(failures),
        seen=sum((summary.seen for summary in summaries), Counter[str]()),
    )

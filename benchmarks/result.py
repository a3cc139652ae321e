"""What a benchmark measured: its repetitions, beside the command, the machine and the versions that they belong to."""

import argparse
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import confluent_kafka
from pydantic import BaseModel, ConfigDict

_PACKAGES = ("fuse-sync", "aiohttp", "confluent-kafka", "orjson", "pydantic", "uvloop")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Repetition(_Model):
    """One measurement; with the CPU seconds per 1,000 events of the process under test, and its peak memory in MiB."""

    value: float
    cpu_seconds_per_1000: float | None = None
    peak_mib: float | None = None


class Series(_Model):
    """All repetitions of one thing. `beside` names the series, of the same run and unit, that it is compared with."""

    name: str
    unit: str
    repetitions: Sequence[Repetition]
    beside: str | None = None


class Spread(_Model):
    """The least, the middle and the greatest of some values."""

    least: float
    median: float
    most: float


class Result(_Model):
    """A run of a benchmark. `about` says in a sentence or two what was measured; `versions` are those of packages."""

    name: str
    about: str
    command: str
    machine: str
    versions: Mapping[str, str]
    series: Sequence[Series]

    def ratios(self, series: Series) -> Spread | None:
        """Compare a series with its yardstick, repetition by repetition; None if it has none."""
        ratios = [ours.value / theirs.value for ours, theirs in self._pairs(series)]
        return spread(ratios) if ratios else None

    def costs(self, series: Series) -> Spread | None:
        """Compare what its events cost of CPU time with what the yardstick's do; None where that is not known."""
        ratios = [
            ours.cpu_seconds_per_1000 / theirs.cpu_seconds_per_1000
            for ours, theirs in self._pairs(series)
            if ours.cpu_seconds_per_1000 and theirs.cpu_seconds_per_1000
        ]
        return spread(ratios) if ratios else None

    def _pairs(self, series: Series) -> Sequence[tuple[Repetition, Repetition]]:
        bare = next((each for each in self.series if each.name == series.beside), None)
        return [] if bare is None else [*zip(series.repetitions, bare.repetitions, strict=True)]


def spread(values: Sequence[float]) -> Spread:
    """Give the least, the middle and the greatest."""
    return Spread(least=min(values), median=statistics.median(values), most=max(values))


def add_output(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark's command say where its result goes."""
    parser.add_argument("--output", type=Path, help="file for the result, as JSON (default: standard output)")


def hand_over(
    name: str,
    about: str | None,
    series: Sequence[Series],
    output: Path | None,
    versions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the result of this process's command.

    `about` may be a docstring, of which the first paragraphs count; `versions` are those of packages of others.
    """
    result = Result(
        name=name,
        about=_prose(about or ""),
        command=_command(name, sys.argv[1:]),
        machine=_machine(),
        versions={
            **{each: version(each) for each in _PACKAGES},
            "librdkafka": confluent_kafka.libversion()[0],
            **versions,
        },
        series=series,
    )
    text = result.model_dump_json(indent=1) + "\n"
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)


def read_results(folder: Path) -> Sequence[Result]:
    """Read every result in a folder, in the order of their names."""
    return [Result.model_validate_json(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def _prose(docstring: str) -> str:
    """Leave out the docstring's first line: it names the command, which the result has anyway."""
    return docstring.partition("\n\n")[2].strip()


def _command(name: str, arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", f"benchmarks.{name}", *_without_output(arguments)])


def _without_output(arguments: Sequence[str]) -> Sequence[str]:
    """Leave out where the result goes: that may be a path of this machine, and changes no figure."""
    if "--output" not in arguments:
        return arguments
    at = arguments.index("--output")
    return [*arguments[:at], *arguments[at + 2 :]]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count()  # not what this process has left to itself
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {system}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

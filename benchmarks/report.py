"""The page of figures: `python -m benchmarks.report` writes docs/performance.md and its plots from the results there.

It measures nothing: every figure is from docs/performance/*.json, and a test holds the page to that. What stands below
them is from notes.md beside them.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.plot import figure, plot
from benchmarks.result import Repetition, Result, Series, Spread, read_results, spread

DOCS = Path(__file__).parents[1] / "docs"
_FOLDER = "performance"
_INTRODUCTION = """\
# How fast it is

`make bench` measures all of this anew and writes this page; `make bench NAME=ingress` one part of it, and
`make bench-peers` what well-known libraries reach. The raw data lies beside it, in `docs/performance/`.

A rate says more about a machine than about a program. So each is measured by turns with a yardstick, on the same cores
in the same run, and what counts is the **ratio**: that of each repetition to the yardstick's repetition just before it,
as least / median / greatest. CPU seconds are those of the process under test alone, and so is its peak memory; their
ratio to the yardstick's hardly changes when the machine does other things meanwhile. Memory is each time the most that
the process has had so far.
"""
_NOTHING = "\nNothing has been measured yet.\n"
_HEAD = """\
| what | unit | least | median | greatest | ratio | CPU s per 1,000 | CPU ratio | peak MiB |
|---|---|--:|--:|--:|--:|--:|--:|--:|
"""


def main() -> None:
    """Write the page and its plots."""
    results = read_results(DOCS / _FOLDER)
    (DOCS / "performance.md").write_text(page(results, notes()))
    for name, text in plots(results).items():
        (DOCS / _FOLDER / name).write_text(text)


def notes() -> str:
    """Give what people have to say about the figures."""
    return (DOCS / _FOLDER / "notes.md").read_text()


def page(results: Sequence[Result], remarks: str) -> str:
    """Write the page, as Markdown."""
    return _INTRODUCTION + ("".join(_section(result) for result in results) or _NOTHING) + remarks


def plots(results: Sequence[Result]) -> Mapping[str, str]:
    """Draw the plots: file names, and what is in them."""
    return {
        _plot_name(result, number): plot(series) for result in results for number, series in enumerate(_by_unit(result))
    }


def _section(result: Result) -> str:
    images = "".join(
        f"\n![{result.name}: {series[0].unit}]({_FOLDER}/{_plot_name(result, number)})\n"
        for number, series in enumerate(_by_unit(result))
    )
    rows = "".join(_row(result, series) for series in result.series)
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    return (
        f"\n## {result.name.capitalize()}\n\n{result.about}\n\n{_HEAD}{rows}{images}"
        f"\n`{result.command}`: {result.machine}; {versions}.\n"
    )


def _row(result: Result, series: Series) -> str:
    values = spread([each.value for each in series.repetitions])
    cells = (
        series.name,
        series.unit,
        *(figure(value) for value in (values.least, values.median, values.most)),
        _ratio(result.ratios(series)),
        _median(series.repetitions, "cpu_seconds_per_1000"),
        _ratio(result.costs(series)),
        _median(series.repetitions, "peak_mib"),
    )
    return f"| {' | '.join(cells)} |\n"


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.least:.2f} / {ratio.median:.2f} / {ratio.most:.2f}"


def _median(repetitions: Sequence[Repetition], field: str) -> str:
    values = [value for each in repetitions if (value := getattr(each, field)) is not None]
    return figure(spread(values).median) if values else ""


def _by_unit(result: Result) -> Sequence[Sequence[Series]]:
    """Part the series by unit: figures of two units have no scale in common."""
    return [list(series) for _, series in groupby(sorted(result.series, key=_unit), key=_unit)]


def _unit(series: Series) -> str:
    return series.unit


def _plot_name(result: Result, number: int) -> str:
    return f"{result.name}-{number + 1}.svg"


if __name__ == "__main__":
    main()

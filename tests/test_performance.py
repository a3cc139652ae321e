"""The page of figures: it says what the raw data say, and nothing else."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.report import DOCS, notes, page, plots
from benchmarks.result import Repetition, Result, Series, read_results


def _series(name: str, values: list[float], beside: str | None = None) -> Series:
    repetitions = [Repetition(value=value, cpu_seconds_per_1000=0.25, peak_mib=64) for value in values]
    return Series(name=name, unit="calls/s", repetitions=repetitions, beside=beside)


RESULT = Result(
    name="consumer",
    about="What it is.",
    command="python -m benchmarks.consumer",
    machine="A machine, 2 cores",
    versions={"aiohttp": "3.13"},
    series=[_series("bare <client>", [1000, 2000, 1500]), _series("ours", [900, 1000, 1200], "bare <client>")],
)


def test_the_page_and_its_plots_are_what_the_results_say() -> None:
    """`make bench` writes them; a figure that somebody typed would be nobody's measurement."""
    results = read_results(DOCS / "performance")
    assert page(results, notes()) == (DOCS / "performance.md").read_text()
    for name, text in plots(results).items():
        assert text == (DOCS / "performance" / name).read_text()


def test_a_ratio_is_that_of_repetitions_of_the_same_turn() -> None:
    """A machine that is slow for a while slows both: 900 to 1,000, 1,000 to 2,000 and 1,200 to 1,500."""
    ratios = RESULT.ratios(RESULT.series[1])
    assert ratios is not None
    assert (ratios.least, ratios.median, ratios.most) == (0.5, 0.8, 0.9)
    assert RESULT.ratios(RESULT.series[0]) is None


def test_every_figure_stands_beside_its_command_machine_versions_cost_and_memory() -> None:
    """Without them it says nothing."""
    text = page([RESULT], "")
    assert "| ours | calls/s | 900 | 1,000 | 1,200 | 0.50 / 0.80 / 0.90 | 0.25 | 1.00 / 1.00 / 1.00 | 64 |" in text
    for each in ("`python -m benchmarks.consumer`", "A machine, 2 cores", "aiohttp 3.13"):
        assert each in text


def test_a_yardstick_without_as_many_repetitions_is_no_yardstick() -> None:
    """They were not measured by turns."""
    short = RESULT.model_copy(update={"series": [_series("bare", [1.0]), _series("ours", [1.0, 2.0], "bare")]})
    with pytest.raises(ValueError, match="shorter"):
        short.ratios(short.series[1])


def test_a_plot_has_a_bar_for_each_series_as_long_as_its_median() -> None:
    """And is XML, whatever the series are called."""
    ((name, text),) = plots([RESULT]).items()
    assert name == "consumer-1.svg"
    bars = ET.fromstring(text).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314 - ours
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] / widths[1] == pytest.approx(1500 / 1000, rel=0.01)

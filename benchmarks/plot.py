"""Plots as SVG text: a bar for each series up to its median, and a line from its least to its greatest value. Pure."""

from collections.abc import Sequence
from html import escape

from benchmarks.result import Series, Spread, spread

_WIDTH, _NAMES, _FIGURES, _ROW = 860, 330, 90, 26
_WHOLE = 100
_COLOURS = {True: "#9aa5b1", False: "#2f6f9f"}
"""Of yardsticks, and of what is compared with them."""


def plot(series: Sequence[Series]) -> str:
    """Draw series of one unit."""
    spreads = [spread([each.value for each in one.repetitions]) for one in series]
    scale = (_WIDTH - _NAMES - _FIGURES) / (max(each.most for each in spreads) or 1.0)
    rows = [_row(number, one, found, scale) for number, (one, found) in enumerate(zip(series, spreads, strict=True))]
    height = _ROW * (len(rows) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif"'
    unit = f'<text x="{_NAMES}" y="17" fill="#52606d">{escape(series[0].unit)}: median, least to greatest</text>'
    return "\n".join([f'{head} font-size="13">', unit, *rows, "</svg>", ""])


def _row(number: int, series: Series, found: Spread, scale: float) -> str:
    top = _ROW * (number + 1)
    middle = top + _ROW / 2
    least, median, most = (_NAMES + scale * value for value in (found.least, found.median, found.most))
    return "\n".join(
        [
            f'<text x="{_NAMES - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(series.name)}</text>',
            (
                f'<rect x="{_NAMES}" y="{top + 4}" width="{median - _NAMES:.1f}" height="{_ROW - 8}"'
                f' fill="{_COLOURS[series.beside is None]}"/>'
            ),
            f'<path d="M{least:.1f} {middle:.0f}H{most:.1f}" stroke="#1f2933" stroke-width="2"/>',
            f'<text x="{most + 6:.1f}" y="{middle + 4:.0f}">{figure(found.median)}</text>',
        ]
    )


def figure(value: float) -> str:
    """Write a figure with three digits that count, and no more."""
    if abs(value) >= _WHOLE:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"

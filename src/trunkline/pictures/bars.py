"""Bars side by side or stacked, several small charts in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.pictures.figure import new_figure, plain, save


@dataclass(frozen=True, slots=True)
class BarChart:
    """A small chart of bars.

    Attributes:
        title, y_label: what it shows, with its unit.
        names: one a bar.
        layers: from the bottom up: (name, colour) -> a height for every bar; one layer is no stack.
        half: half the length of an interval on top of every bar, or None.
        logarithmic: whether heights are shown by their logarithms.
    """

    title: str
    y_label: str
    names: Sequence[str]
    layers: Mapping[tuple[str, str], Sequence[float]]
    half: Sequence[float] | None = None
    logarithmic: bool = False


def draw_bars(path: str | Path, rows: Sequence[Sequence[BarChart]]) -> Path:
    """Draw rows of as many charts each. Returns the path written (InputError if it cannot be)."""
    longest = max(len(chart.names) for row in rows for chart in row)
    columns = len(rows[0])
    figure = new_figure(max(3.2, 0.62 * longest + 1.2) * columns, 3.6 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for ax, chart in zip(grid.flat, (one for row in rows for one in row), strict=True):
        bottom = [0.0] * len(chart.names)
        for (name, colour), heights in chart.layers.items():
            bars = ax.bar(range(len(heights)), heights, bottom=bottom, color=colour, label=name)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        if chart.half is not None:
            places = range(len(bottom))
            ax.errorbar(places, bottom, yerr=chart.half, fmt="none", ecolor="black", capsize=3)
        ax.bar_label(bars, labels=[f"{top:.3g}" for top in bottom], fontsize=7, padding=3)
        ax.set_xticks(range(len(chart.names)), [plain(n) for n in chart.names], fontsize=7)
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set_horizontalalignment("right")
        ax.tick_params(axis="y", labelsize=8)
        ax.set_ylabel(plain(chart.y_label), fontsize=9)
        ax.set_title(plain(chart.title), fontsize=9, loc="left")
        if chart.logarithmic:
            ax.set_yscale("log")
        ax.margins(y=0.12)
        if len(chart.layers) > 1:
            ax.legend(fontsize=8)
    return save(figure, path)

"""Curves with confidence intervals, several small charts under one legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.pictures.figure import new_figure, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a chart: y +- half at each x; dashed or not, in a colour that names its family."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float]
    colour: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A small chart.

    Attributes:
        title: what it shows.
        x_label: the name of its x axis.
        curves: its curves.
        ticks: where its x axis is marked.
        y_label: the name of its own y axis; empty where all charts have one scale and name.
        logarithmic: whether its own y axis is.
        y_limits: where its y axis begins and ends; None to fit the curves.
    """

    title: str
    x_label: str
    curves: Sequence[Curve]
    ticks: Sequence[float] = ()
    y_label: str = ""
    logarithmic: bool = False
    y_limits: tuple[float, float] | None = None


def draw_curves(path: str | Path, rows: Sequence[Sequence[Chart]], y_label: str) -> Path:
    """Draw a grid of charts, all labels in one legend; on one scale of y, unless a chart names its
    own. Returns the path written.

    Raises:
        InputError: the picture cannot be written.
    """
    columns = max(len(row) for row in rows)
    width = 3.3 * columns if columns > 1 else 5.0
    figure = new_figure(width + 0.4, 2.75 * len(rows) + 1.1)
    own = any(chart.y_label for row in rows for chart in row)
    grid = figure.subplots(len(rows), columns, sharey=not own, squeeze=False)
    labels: dict[str, Any] = {}
    for row, axes in zip(rows, grid, strict=True):
        for chart, ax in zip(row, axes, strict=False):
            labels.update(_draw_chart(ax, chart))
        for ax in axes[len(row) :]:
            ax.set_visible(False)
        if not own:
            axes[0].set_ylabel(y_label)
    figure.legend(
        list(labels.values()),
        list(labels),
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
    )
    return save(figure, path)


def _draw_chart(ax: Axes, chart: Chart) -> dict[str, Any]:
    """Draw one chart; returns what stands for each label in the legend."""
    drawn: dict[str, Any] = {}
    for curve in chart.curves:
        drawn[plain(curve.label)] = ax.errorbar(
            curve.x,
            curve.y,
            yerr=curve.half,
            color=curve.colour,
            linestyle="--" if curve.dashed else "-",
            linewidth=1.3,
            marker="o" if curve.dashed else "s",
            markersize=3,
            markerfacecolor="white" if curve.dashed else curve.colour,
            capsize=2,
            elinewidth=0.8,
        )
    ax.set_title(plain(chart.title), fontsize=9, loc="left")
    if chart.ticks:
        ax.set_xticks(chart.ticks, [f"{tick:g}" for tick in chart.ticks])
    ax.set_xlabel(plain(chart.x_label), fontsize=9)
    ax.set_ylabel(plain(chart.y_label), fontsize=9)
    if chart.logarithmic:
        ax.set_yscale("log")
        ax.tick_params(axis="y", which="minor", labelsize=6)
    if chart.y_limits is not None:
        ax.set_ylim(*chart.y_limits)
    ax.tick_params(labelsize=8)
    ax.grid(alpha=0.3)
    return drawn

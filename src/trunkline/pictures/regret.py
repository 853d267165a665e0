"""Regret against its bound, on logarithmic scales, with bands for its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.pictures.figure import new_figure, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (
    "#1f77b4", "#d62728", "#3a9d5d", "#9467bd", "#e07b39", "#8c564b", "#17a2b8", "#c2a500",
    "#e377c2", "#7f7f7f", "#222222",
)  # fmt: skip
STYLES = ("-", "--", ":")


@dataclass(frozen=True, slots=True)
class Band:
    """A line y +- half over rounds x; a bound is black, dashed, and has no band."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float]
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart: its title, the name of its y axis, its lines, whether y is logarithmic."""

    title: str
    y_label: str
    bands: Sequence[Band]
    logarithmic: bool = True


def draw_regret(path: str | Path, panels: Sequence[Panel]) -> Path:
    """Draw panels side by side under one legend; a label has one colour in all. Returns the path.

    Raises:
        InputError: the picture cannot be written.
    """
    figure = new_figure(4.4 * len(panels) + 0.4, 4.9)
    labels = list(dict.fromkeys(b.label for p in panels for b in p.bands if not b.is_bound))
    looks = {
        label: (COLOURS[n % len(COLOURS)], STYLES[n // len(COLOURS) % len(STYLES)])
        for n, label in enumerate(labels)
    }
    drawn: dict[str, Any] = {}
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for band in panel.bands:
            drawn.setdefault(plain(band.label), _draw(ax, band, looks, panel.logarithmic))
        ax.set_xscale("log")
        if panel.logarithmic:
            ax.set_yscale("log")
        ax.set_title(plain(panel.title), fontsize=9, loc="left")
        ax.set_xlabel("rounds", fontsize=9)
        ax.set_ylabel(plain(panel.y_label), fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.3)
    figure.legend(
        list(drawn.values()),
        list(drawn),
        loc="outside lower center",
        ncols=4 if len(panels) > 1 else 3,
        fontsize=8,
        frameon=False,
    )
    return save(figure, path)


def _draw(ax: Axes, band: Band, looks: dict[str, tuple[str, str]], logarithmic: bool) -> Any:
    """Draw a line; on a logarithmic scale only from where it stays positive."""
    start = 0
    if logarithmic:
        start = next((n + 1 for n in reversed(range(len(band.y))) if band.y[n] <= 0), 0)
    x, y, half = band.x[start:], band.y[start:], band.half[start:]
    if band.is_bound:
        return ax.plot(x, y, color="black", linestyle="--", linewidth=1.6)[0]
    colour, style = looks[band.label]
    low = [value - h for value, h in zip(y, half, strict=True)]
    if logarithmic:
        low = [max(value, 0.05 * top) for value, top in zip(low, y, strict=True)]
    high = [value + h for value, h in zip(y, half, strict=True)]
    ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    return ax.plot(x, y, color=colour, linestyle=style, linewidth=1.3)[0]

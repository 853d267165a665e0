"""Timelines of plans and runs: when each batch uploads, loads and computes, and who is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trunkline.pictures.figure import COMPUTE, LOAD, UPLOAD, new_figure, plain, save
from trunkline.units import seconds as duration
from trunkline.units import unit_of_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(Protocol):
    """One batch as a timeline shows it; times in seconds. `loading.Batch` is one."""

    @property
    def model(self) -> str:
        """The model that computes the batch."""

    @property
    def tasks(self) -> Sequence[str]:
        """The tasks it answers."""

    @property
    def start_s(self) -> float:
        """When its upload starts."""

    @property
    def upload_s(self) -> float:
        """How long it uploads."""

    @property
    def load_s(self) -> float:
        """How long it then loads."""

    @property
    def compute_s(self) -> float:
        """How long it then computes."""


Panel = tuple[str, Sequence[Row]]
"""A title and the batches below it."""


def draw_timelines(path: str | Path, panels: Sequence[Panel], deadline_s: float) -> Path:
    """Draw one timeline a panel, one above the other on one time axis, and below them how many
    tasks each has answered at any time. Returns the path written."""
    figure = new_figure(11, 1.3 + 1.75 * len(panels) + 2.2)
    axes = figure.subplots(
        len(panels) + 1, 1, sharex=True, height_ratios=[1.75] * len(panels) + [2.0]
    )
    for ax, (title, rows) in zip(axes, panels, strict=False):
        _draw_steps(ax, title, rows, deadline_s)
    last = max([deadline_s, *(_finish(row) for _, rows in panels for row in rows)])
    _draw_answered(axes[-1], panels, deadline_s, last)
    axes[-1].set_xlim(0, last * 1.04 if last > 0 else 1)
    _set_unit(axes[-1], last)
    return save(figure, path)


def _starts(row: Row) -> tuple[float, float, float]:
    """When a row's three steps start: one after the other, unless it says otherwise."""
    loads = getattr(row, "load_start_s", None)
    computes = getattr(row, "compute_start_s", None)
    loads = row.start_s + row.upload_s if loads is None else loads
    return row.start_s, loads, loads + row.load_s if computes is None else computes


def _finish(row: Row) -> float:
    return _starts(row)[2] + row.compute_s


def _set_unit(ax: Axes, last_s: float) -> None:
    """The time axis, whose data are seconds, in the unit that fits its end."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    unit, scale = unit_of_time(last_s)
    # Round steps of seconds are round steps of every unit, since units are powers of ten apart.
    ax.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / scale:.6g}"))
    ax.set_xlabel(f"time [{unit}]")


def _draw_steps(ax: Axes, title: str, rows: Sequence[Row], deadline_s: float) -> None:
    """The three steps of every batch, a lane each."""
    lanes = (("upload", UPLOAD, 2), ("load", LOAD, 1), ("compute", COMPUTE, 0))
    bars: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in lanes}
    for row in rows:
        steps = (row.upload_s, row.load_s, row.compute_s)
        for name, start_s, seconds in zip(bars, _starts(row), steps, strict=True):
            bars[name].append((start_s, seconds))
    for name, colour, lane in lanes:
        total = sum(seconds for _, seconds in bars[name])
        ax.broken_barh(bars[name], (lane - 0.4, 0.8), facecolors=colour, linewidth=0)
        ax.text(
            1.005,
            lane,
            duration(total),
            transform=ax.get_yaxis_transform(),
            va="center",
            size=8,
        )
    ax.axvline(deadline_s, color="#b22222", linestyle="--", linewidth=1)
    ax.set_yticks([2, 1, 0], ["upload", "load", "compute"])
    ax.set_ylim(-0.6, 2.6)
    ax.set_title(plain(title), loc="left", fontsize=10)


def _draw_answered(ax: Axes, panels: Sequence[Panel], deadline_s: float, last_s: float) -> None:
    """Tasks answered over time, one line a panel; the first ones are the broadest, so that they
    show where lines lie on one another."""
    from matplotlib.ticker import MaxNLocator

    for number, (title, rows) in enumerate(panels):
        times, counts = [0.0], [0]
        for row in sorted(rows, key=_finish):
            times.append(_finish(row))
            counts.append(counts[-1] + len(row.tasks))
        ax.step(
            [*times, last_s],
            [*counts, counts[-1]],
            where="post",
            label=plain(title.partition(":")[0]),
            linewidth=1.5 + 2.0 * (len(panels) - 1 - number),
        )
    ax.axvline(deadline_s, color="#b22222", linestyle="--", linewidth=1, label="deadline")
    ax.set_ylabel("tasks answered")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.legend(fontsize=8, loc="lower right")
    ax.grid(alpha=0.3)

"""Pictures of streaming plans: each served user's downloads and computing, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.pictures.figure import COMPUTE, LOAD, UPLOAD, new_figure, plain, save
from trunkline.streaming.trace import LayerTrace, UserTrace
from trunkline.units import shorten, unit_of_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAIT, TAIL, DEADLINE = "#f3f0e6", "#a9d6b8", "#b22222"
EDGE, WHOLE = "#c9bd97", "#555555"
MOST_USERS = 16
"""So many users are drawn; with more, some from the first to finish to the last."""


def draw_streaming(path: str | Path, title: str, users: Sequence[UserTrace]) -> Path:
    """Draw two lanes a user on one time axis: what arrives and what computes, the layers told
    apart by white lines, and the gaps in which the device waits. Returns the path written."""
    shown = _some(users)
    if len(shown) < len(users):
        title += f"; {len(shown)} of them drawn"
    figure = new_figure(11, 1.5 + 0.62 * max(len(shown), 1))
    ax = figure.subplots()
    for row, user in enumerate(shown):
        _draw_user(ax, -row, user)
    ends = [max(u.user.deadline_s, u.served.finish_s, u.download_first_s) for u in shown]
    last = max(ends, default=1.0)
    ax.set_xlim(0, 1.02 * last)
    ax.set_ylim(-max(len(shown), 1) + 0.45, 0.55)
    labels = [plain(f"{shorten(u.user.id, 24)}\n{shorten(u.served.model, 24)}") for u in shown]
    ax.set_yticks([-row for row in range(len(shown))], labels, fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_title(plain(title), loc="left", fontsize=10)
    _set_time_axis(ax, last)
    _add_legend(ax, shown)
    return save(figure, path)


def _some(users: Sequence[UserTrace]) -> list[UserTrace]:
    """At most `MOST_USERS`, evenly from those ordered by when they finish."""
    ordered = sorted(users, key=lambda one: one.served.finish_s)
    if len(ordered) <= MOST_USERS:
        return ordered
    step = (len(ordered) - 1) / (MOST_USERS - 1)
    return [ordered[round(n * step)] for n in range(MOST_USERS)]


def _draw_user(ax: Axes, row: float, user: UserTrace) -> None:
    """The lanes of one user, and its deadline."""
    own = [_bar(layer) for layer in user.layers if layer.sent_s and not layer.multicast]
    stream = [_bar(layer) for layer in user.layers if layer.sent_s and layer.multicast]
    both = 0.34 if not stream else 0.16  # the two streams of one user run side by side
    ax.broken_barh(own, (row + 0.36 - both, both), facecolors=UPLOAD, edgecolors="white", lw=0.6)
    ax.broken_barh(stream, (row + 0.02, both), facecolors=LOAD, edgecolors="white", lw=0.6)
    waits = [(start, end - start) for start, end in user.waits]
    ax.broken_barh(
        waits, (row - 0.36, 0.34), facecolors=WAIT, edgecolors=EDGE, hatch="////", lw=0.4
    )
    computing = [(layer.start_s, layer.end_s - layer.start_s) for layer in user.layers]
    ax.broken_barh(computing, (row - 0.36, 0.34), facecolors=COMPUTE, edgecolors="white", lw=0.6)
    tail = [(user.layers[-1].end_s, user.user.tail_s)] if user.user.tail_s else []
    ax.broken_barh(tail, (row - 0.36, 0.34), facecolors=TAIL, edgecolors="white", lw=0.6)
    ax.plot([user.user.deadline_s] * 2, [row - 0.4, row + 0.4], color=DEADLINE, lw=1.6)
    whole = user.download_first_s
    ax.plot([whole], [row - 0.19], marker=">", color=WHOLE, markersize=6, linestyle="")
    ax.text(
        1.005,
        row,
        f"{100 * user.served.share:.3g} %",
        transform=ax.get_yaxis_transform(),
        va="center",
        size=8,
    )


def _bar(layer: LayerTrace) -> tuple[float, float]:
    """From when and how long a layer is sent."""
    begins, ends = layer.sent_s or (0.0, 0.0)
    return begins, ends - begins


def _set_time_axis(ax: Axes, last_s: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    unit, scale = unit_of_time(last_s)
    ax.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / scale:.6g}"))
    ax.set_xlabel(f"time [{unit}]; on the right each user's share of the bandwidth")
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)


def _add_legend(ax: Axes, users: Sequence[UserTrace]) -> None:
    """What the colours and marks mean, below the picture."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [Patch(color=UPLOAD, label="downloads (a bar a layer)")]
    if any(layer.multicast for user in users for layer in user.layers):
        handles.append(Patch(color=LOAD, label="from the group's multicast stream"))
    handles += [
        Patch(color=COMPUTE, label="computes"),
        Patch(facecolor=WAIT, edgecolor=EDGE, hatch="////", label="waits for the next layer"),
    ]
    if any(user.user.tail_s for user in users):
        handles.append(Patch(color=TAIL, label="tail after the last layer"))
    whole = "would end if it downloaded all first"
    handles += [
        Line2D([], [], color=DEADLINE, lw=1.6, label="deadline"),
        Line2D([], [], color=WHOLE, marker=">", linestyle="", label=whole),
    ]
    ax.figure.legend(
        handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )

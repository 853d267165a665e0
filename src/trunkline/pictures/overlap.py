"""A forward that overlapped with the arrival of its blocks: what came when, what computed when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.pictures.figure import COMPUTE, UPLOAD, new_figure, plain, save
from trunkline.units import unit_of_time

WAIT, MARK = "#f3f0e6", "#555555"


@dataclass(frozen=True, slots=True)
class LayerBar:
    """A layer, in the order of use. Times are seconds on one clock.

    Attributes:
        arrived_s: its last byte was there; None for a layer that was not sent.
        asked_s: the forward came to it.
        started_s, ended_s: it computed.
    """

    arrived_s: float | None
    asked_s: float
    started_s: float
    ended_s: float


def draw_overlap(
    path: str | Path, title: str, layers: Sequence[LayerBar], download_first_s: float
) -> Path:
    """Draw two lanes: layers arriving, and layers computing with the waits between them; a mark
    where the forward would have ended, had it begun after the last byte. Returns the path."""
    figure = new_figure(10, 2.6)
    ax = figure.subplots()
    last = max([download_first_s, *(layer.ended_s for layer in layers)], default=0.0) or 1.0
    unit, scale = unit_of_time(last)
    for lane, colour, label, spans in (
        (1.1, UPLOAD, "arriving", _arriving(layers)),
        (0.1, COMPUTE, "computing", [(one.started_s, one.ended_s) for one in layers]),
        (0.1, WAIT, "waiting", [(one.asked_s, one.started_s) for one in layers]),
    ):
        bars = [(begin / scale, (end - begin) / scale) for begin, end in spans if end > begin]
        edge, width = ("white", 0.5) if colour == UPLOAD else ("none", 0)  # short ones stay seen
        ax.broken_barh(bars, (lane, 0.8), facecolors=colour, edgecolors=edge, lw=width, label=label)
    ax.plot(
        [download_first_s / scale], [0.5], marker=">", color=MARK, ls="", label="download first"
    )
    ax.set_yticks([1.5, 0.5], ["link", "device"])
    ax.set_ylim(0, 2)
    ax.set_xlim(0, 1.03 * last / scale)
    ax.set_xlabel(unit)
    ax.set_title(plain(title), loc="left", fontsize=10)
    ax.legend(fontsize=8, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.25), frameon=False)
    return save(figure, path)


def _arriving(layers: Sequence[LayerBar]) -> list[tuple[float, float]]:
    """From the last byte of one layer to that of the next, in the order of arrival."""
    ends = sorted(layer.arrived_s for layer in layers if layer.arrived_s is not None)
    return list(zip([0.0, *ends], ends, strict=False))

"""Fig. 7: the general case, served ratio over B, K, deadline and theta."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.experiments.figures.sweeps import Panel, Reported, SweepFigure
from trunkline.experiments.lines import Line, gen, independent, sharing_lines
from trunkline.experiments.preset import Preset
from trunkline.loading.service import Upload


def _lines(upload: Upload, preset: Preset) -> Sequence[Line]:
    return sharing_lines(upload, bottom=False)


def _reported(preset: Preset) -> list[Reported]:
    gains = zip("abcd", ("B", "K", "deadline", "theta"), (36, 38, 36, 39), strict=True)
    return [
        Reported(letter, f"Gen - Ind, mean over {over}", gain, gen, independent)
        for letter, over, gain in gains
    ]


FIGURE_7 = SweepFigure(
    7,
    "served ratio in the general case",
    (
        Panel("a", "general", "bandwidth_hz", _lines),
        Panel("b", "general", "tasks", _lines),
        Panel("c", "general", "deadline_s", _lines),
        Panel("d", "general", "share", _lines),
    ),
    _reported,
)

"""Fig. 6: bottom-layer sharing, served ratio over B, K, deadline and theta."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.experiments.figures.sweeps import Panel, Reported, SweepFigure
from trunkline.experiments.lines import Line, best, gen, independent, sharing_lines
from trunkline.experiments.preset import Preset
from trunkline.loading.service import Upload


def _lines(upload: Upload, preset: Preset) -> Sequence[Line]:
    return sharing_lines(upload, bottom=True)


def _reported(preset: Preset) -> list[Reported]:
    most = preset.sweeps.tasks[-1]
    gains = zip(
        "abcd", ("B", "K", "deadline", "theta"), (24, 24, 22, 26), (16, 18, 18, 21), strict=True
    )
    found = [
        Reported("b", f"Spec at K = {most}", 83, best, last=True),
        Reported("b", f"Gen at K = {most}", 76, gen, last=True),
    ]
    for letter, over, by_spec, by_gen in gains:
        found += [
            Reported(letter, f"Spec - Ind, mean over {over}", by_spec, best, independent),
            Reported(letter, f"Gen - Ind, mean over {over}", by_gen, gen, independent),
        ]
    return found


FIGURE_6 = SweepFigure(
    6,
    "served ratio with bottom-layer sharing",
    (
        Panel("a", "bottom", "bandwidth_hz", _lines),
        Panel("b", "bottom", "tasks", _lines),
        Panel("c", "bottom", "deadline_s", _lines),
        Panel("d", "bottom", "share", _lines),
    ),
    _reported,
)

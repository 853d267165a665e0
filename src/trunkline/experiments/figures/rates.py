"""Every reported served ratio against the loading rate, the value that decides most of them.

The paper gives neither the rate of its disk nor of the copy to the accelerator, so set A has a
calibrated one. How far our numbers are from the paper's, for the bottom-layer-sharing case and for
the general one, as the rate changes, says whether any one rate gives both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from trunkline.experiments.cells import Cell, Results, Table
from trunkline.experiments.figures.base import Job, Made, write_csv
from trunkline.experiments.figures.sensitivity import READING, all_numbers, at_rate, fewer
from trunkline.experiments.figures.sweeps import COLOURS, Number
from trunkline.experiments.preset import Preset
from trunkline.pictures.curves import Chart, Curve, draw_curves

SHARE_OF_RUNS = 10
"""One in so many realisations is enough here."""

RATES = (0.6e9, 0.8e9, 1.0e9, 1.2e9, 1.4e9, 1.6e9, 2.0e9, 2.5e9, 3.0e9)
"""Bytes per second; the preset's own rate is added."""


class Rates:
    """The table of numbers (rows) at loading rates (columns), and the distance to the paper's."""

    name = "rates"
    title = "the paper's numbers against the loading rate"
    needs: tuple[str, ...] = ()

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: it has a sweep of its own, with fewer realisations."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Sweep, and write `rates.csv` and `rates.png`."""
        own = {stage.bytes_per_s for stage in job.preset.loading}
        rates = sorted({*RATES, *own})
        presets = [at_rate(rate)(job.preset) for rate in rates]
        numbers = all_numbers(job.preset)
        table = Table(
            cell for preset in presets for one in numbers for cell in one.cells(preset, READING)
        )
        found = job.sweep(table, fewer(job.runs, SHARE_OF_RUNS), "rates")
        values = [[one.measured(p, READING, found).mean for p in presets] for one in numbers]
        stem = job.folder / "rates"
        header = ["figure", "number", "paper", *(f"{rate / 1e9:g} GB/s" for rate in rates)]
        rows: list[list[object]] = [
            [one.figure, one.reported.text, float(one.reported.paper), *of_one]
            for one, of_one in zip(numbers, values, strict=True)
        ]
        curves = []
        for colour, (label, panels) in zip(COLOURS, CASES, strict=False):
            distances = distance(numbers, values, panels)
            rows.append(["", f"distance: {label}", 0.0, *distances])
            no_bars = [0.0] * len(rates)
            curves.append(Curve(label, [r / 1e9 for r in rates], distances, no_bars, colour))
        chart = Chart("our numbers, as printed", "loading rate [GB/s]", curves)
        picture = draw_curves(stem.with_suffix(".png"), [[chart]], "rms difference [points]")
        return Made(files=(write_csv(stem.with_suffix(".csv"), header, rows), picture))


CASES = (
    ("bottom-layer sharing, Figs. 6, 8(a, b)", ("6(a)", "6(b)", "6(c)", "6(d)", "8(a)", "8(b)")),
    ("general, Figs. 7, 8(c, d)", ("7(a)", "7(b)", "7(c)", "7(d)", "8(c)", "8(d)")),
    ("small, Fig. 9", ("9(a)", "9(b)")),
)
"""The panels whose numbers are about one case."""


def distance(
    numbers: Sequence[Number], values: Sequence[Sequence[float]], panels: Sequence[str]
) -> list[float]:
    """The root of the mean squared difference to the paper's numbers of some panels, by rate."""
    chosen = [
        (one.reported.paper, of_one)
        for one, of_one in zip(numbers, values, strict=True)
        if one.figure in panels
    ]
    return [
        math.sqrt(sum((of_one[n] - paper) ** 2 for paper, of_one in chosen) / len(chosen))
        for n in range(len(values[0]))
    ]


RATES_FIGURE = Rates()

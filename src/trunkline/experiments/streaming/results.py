"""Realisations of the streaming sweeps, and the means, intervals and gains they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.cells import Estimate, estimate
from trunkline.experiments.figures.base import write_csv
from trunkline.experiments.streaming.sweeps import SWEEPS, TRANSFERS, Sweep, values
from trunkline.pictures.curves import Chart, Curve, draw_curves

ALL = (*SWEEPS, TRANSFERS)
"""Every sweep of `trunkline reproduce streaming`."""

COLOURS = {
    "optimal": "#1b6ca8", "transfers": "#8a5a00", "download-first": "#c0392b",
    "4 transfers": "#e0a100", "2 transfers": "#f0c860", "equal": "#7d7d7d", "fcfs": "#b0b0b0",
    "largest model": "#3a9d5d", "uniform-speed": "#8e5aa8", "whole models": "#3a9d5d",
    "unicast": "#e0a100",
}  # fmt: skip
HEADER = (
    *("sweep", "x", "scheme", "served", "half", "rho", "gain", "gain_half", "predicted_gain"),
)
"""Columns of the tables: x as on the axis; half: half a 95 % interval; rho: mean compute share of
those served (`sweeps.compute_share`); gain: served over what download-first serves;
predicted_gain: 1/(1 - rho), where only overlap makes the difference."""


@dataclass(frozen=True, slots=True)
class Line:
    """One scheme at one point.

    Attributes:
        served: users served, with its 95 % interval.
        rho: mean compute share of those served; NaN if nobody ever is.
        gain: served divided by what `download-first` serves in the same realisations.
    """

    sweep: Sweep
    x: float
    scheme: str
    served: Estimate
    rho: float
    gain: Estimate

    @property
    def predicted_gain(self) -> float | None:
        """1/(1 - rho), for users alike (derived); None where overlap of single layers is not all
        that makes the difference."""
        if self.scheme != "optimal" or not self.sweep.predicts:
            return None
        return 1.0 / (1.0 - self.rho)


def compute(
    sweeps: Sequence[Sweep],
    runs: int,
    *,
    seed: int = 0,
    jobs: int = -1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Line]:
    """Every scheme at every point of the sweeps, over so many realisations."""
    from joblib import Parallel, delayed

    found: dict[int, list[tuple[float, float]]] = {}
    workers = Parallel(n_jobs=jobs, return_as="generator_unordered")
    tell(0, runs)
    for run, one in workers(delayed(_realisation)(run, seed, sweeps) for run in range(runs)):
        found[run] = one
        tell(len(found), runs)
    return list(_lines(sweeps, np.array([found[run] for run in range(runs)])))


def _realisation(
    run: int, seed: int, sweeps: Sequence[Sweep]
) -> tuple[int, list[tuple[float, float]]]:
    return run, values(run, seed, sweeps)


def _lines(sweeps: Sequence[Sweep], table: NDArray[np.float64]) -> Iterator[Line]:
    """Estimates from values of shape (runs, cells, 2)."""
    cell = 0
    for sweep in sweeps:
        for point in sweep.points:
            count = len(sweep.schemes)
            here = table[:, cell : cell + count]
            cell += count
            base = here[:, sweep.schemes.index("download-first"), 0]
            for n, scheme in enumerate(sweep.schemes):
                served, rhos = here[:, n, 0], here[:, n, 1]
                known = rhos[np.isfinite(rhos)]
                rho = float(known.mean()) if len(known) else float("nan")
                yield Line(sweep, point.x, scheme, estimate(served), rho, ratio(served, base))


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimate:
    """The ratio of two means over the same realisations, with half its 95 % interval (linearised);
    NaN where the lower mean is 0."""
    if below.mean() == 0:
        return Estimate(float("nan"), float("nan"))
    found = float(above.mean() / below.mean())
    return Estimate(found, estimate(above - found * below).half / float(below.mean()))


def write(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Write a table of every sweep, and a picture of each kind of them; returns the paths."""
    paths = []
    charts: dict[str, list[Chart]] = {}
    for sweep in dict.fromkeys(line.sweep for line in lines):
        mine = [line for line in lines if line.sweep is sweep]
        stem = folder / f"streaming-{sweep.name}"
        paths.append(write_csv(stem.with_suffix(".csv"), HEADER, [_row(line) for line in mine]))
        charts.setdefault(sweep.picture, []).append(_chart(sweep, mine))
    for picture, drawn in charts.items():
        columns = 2 if len(drawn) in (2, 4) else 3
        rows = [drawn[n : n + columns] for n in range(0, len(drawn), columns)]
        paths.append(draw_curves(folder / f"streaming-{picture}.png", rows, "users served"))
    return paths


def _row(line: Line) -> tuple[object, ...]:
    predicted = line.predicted_gain
    return (
        *(line.sweep.name, float(line.x), line.scheme, line.served.mean, line.served.half),
        *(line.rho, line.gain.mean, line.gain.half, "" if predicted is None else predicted),
    )


def _chart(sweep: Sweep, lines: Sequence[Line]) -> Chart:
    curves = []
    for scheme in sweep.schemes:
        mine = [line for line in lines if line.scheme == scheme]
        curves.append(
            Curve(
                scheme,
                [line.x for line in mine],
                [line.served.mean for line in mine],
                [line.served.half for line in mine],
                COLOURS[scheme],
                dashed=scheme == "download-first",
            )
        )
    return Chart(sweep.title, sweep.x_label, curves)

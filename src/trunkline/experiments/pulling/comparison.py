"""Who is better than whom by how much, every percentage with its baseline, beside the abstract's.

The abstract of Common Knowledge: "our algorithms reduce at least 38% in total delays and average
costs, while achieving a 5% improvement in average accuracies". It does not say against what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from trunkline.experiments.cells import Estimate, estimate
from trunkline.experiments.figures.base import write_csv
from trunkline.experiments.pulling.preset import Point
from trunkline.experiments.pulling.table import Cell, Results
from trunkline.experiments.pulling.ways import FALLBACK, OURS, PAIRED, Way

PAPER: Final = (("total_delay_s", -38.0), ("average_cost_s", -38.0), ("average_accuracy", 5.0))
"""The abstract's percentages: at least as much less delay and cost, as much more accuracy."""

COLUMNS: Final = (
    "ours", "baseline", "measure", "abstract", "default_point", "half_width_95", "sweeps_worst",
    "sweeps_best",
)  # fmt: skip
"""All numbers in percent of the baseline's."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A way and the baseline it is held against."""

    ours: Way
    baseline: Way


PAIRS: Final = (
    *(Pair(on, off) for on, off in PAIRED),
    *(Pair(OURS, off) for _, off in PAIRED[1:]),
    Pair(OURS, FALLBACK),
)
"""The same method with sharing on and off; then ours against each other one without sharing."""


def change(results: Results, point: Point, pair: Pair, metric: str) -> Estimate:
    """By how many percent of the baseline ours is more (negative: less), in the same realisations:
    the mean over them of 100 (ours/baseline - 1)."""
    ours = results.samples(Cell(point, pair.ours), metric)
    baseline = results.samples(Cell(point, pair.baseline), metric)
    return estimate(100.0 * (ours / np.maximum(baseline, 1e-300) - 1.0))


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of a pair: percent more than the baseline (negative: less).

    Attributes:
        pair: the two.
        measure: which of `METRICS`.
        abstract: the abstract's percentage.
        here: at the default point.
        worst, best: of the means over the points of the sweeps.
    """

    pair: Pair
    measure: str
    abstract: float
    here: Estimate
    worst: float
    best: float


def comparison(results: Results, default: Point, points: Iterable[Point]) -> list[Row]:
    """Every measure of every pair, in the order of `PAIRS` and `PAPER`."""
    every = list(dict.fromkeys(points))
    rows = []
    for pair in PAIRS:
        for metric, paper in PAPER:
            here = change(results, default, pair, metric)
            means = sorted(change(results, point, pair, metric).mean for point in every)
            worst, best = (means[-1], means[0]) if paper < 0 else (means[0], means[-1])
            rows.append(Row(pair, metric, paper, here, worst, best))
    return rows


def write_comparison(folder: Path, rows: Iterable[Row]) -> Path:
    """Write `comparison.csv`; returns its path (InputError if it cannot be written)."""
    values = [
        (
            row.pair.ours.name,
            row.pair.baseline.name,
            row.measure,
            row.abstract,
            row.here.mean,
            row.here.half,
            row.worst,
            row.best,
        )
        for row in rows
    ]
    return write_csv(folder / "comparison.csv", COLUMNS, values)

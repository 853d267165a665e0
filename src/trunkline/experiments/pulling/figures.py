"""The figures of the pulling evaluation: one sweep each, four measures, every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

import trunkline
from trunkline.experiments.cells import Estimate, estimate
from trunkline.experiments.figures.base import write_csv
from trunkline.experiments.pulling.preset import COORDINATES, Point, Preset
from trunkline.experiments.pulling.table import METRICS, Cell, Results
from trunkline.experiments.pulling.ways import COLOURS, WAYS, Way
from trunkline.files import write_json
from trunkline.pictures.curves import Chart, Curve, draw_curves

AXES: Final = {
    "sites": ("sites", 1.0),
    "requests": ("requests", 1.0),
    "models": ("models", 1.0),
    "storage_bytes": ("mean storage of a site [GB]", 1e-9),
    "accuracy": ("mean accuracy need", 1.0),
    "shared": ("mean fraction of layers shared", 1.0),
}
"""The coordinates: the name of the axis, and what a value is multiplied by."""

CHARTS: Final = (
    ("total_delay_s", "total delay [s]"),
    ("average_cost_s", "average cost [s]"),
    ("average_accuracy", "average accuracy"),
    ("planning_s", "running time [s]"),
)
"""The measures that are drawn; all of `METRICS` are in the tables."""

HEADER: Final = (
    "sweep", "value", "method", "sharing", "realisations", "measure", "mean", "half_width_95",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sweep:
    """One figure: a sweep over one coordinate."""

    coordinate: str

    @property
    def name(self) -> str:
        """What it is called on the command line and in files."""
        return self.coordinate.removesuffix("_bytes")

    def points(self, preset: Preset) -> tuple[Point, ...]:
        """Its points."""
        return preset.points(self.coordinate)

    def write(self, preset: Preset, results: Results, folder: Path) -> list[Path]:
        """Write its table (`.csv`, one value a line) and its picture (`.png` and `.svg`)."""
        stem = folder / self.name
        charts = [self._chart(preset, results, *chart) for chart in CHARTS]
        return [
            write_csv(stem.with_suffix(".csv"), HEADER, list(self._rows(preset, results))),
            draw_curves(stem.with_suffix(".png"), [charts], ""),
            draw_curves(stem.with_suffix(".svg"), [charts], ""),
        ]

    def _rows(self, preset: Preset, results: Results) -> Iterator[Sequence[object]]:
        for cell in (Cell(point, way) for point in self.points(preset) for way in WAYS):
            for metric in METRICS:
                found = estimate(results.samples(cell, metric))
                yield (
                    self.coordinate,
                    getattr(cell.point, self.coordinate),
                    cell.way.method,
                    "on" if cell.way.sharing else "off",
                    results.runs,
                    metric,
                    found.mean,
                    found.half,
                )

    def _chart(self, preset: Preset, results: Results, metric: str, y_label: str) -> Chart:
        x_label, scale = AXES[self.coordinate]
        ticks = [scale * getattr(point, self.coordinate) for point in self.points(preset)]
        curves = [
            self._curve(preset, results, metric, way, ticks)
            for way in WAYS
            if metric != "planning_s" or way.method != "fallback"
        ]
        return Chart("", x_label, curves, ticks, y_label, logarithmic=metric == "planning_s")

    def _curve(
        self, preset: Preset, results: Results, metric: str, way: Way, ticks: Sequence[float]
    ) -> Curve:
        found = [_shown(results, Cell(point, way), metric) for point in self.points(preset)]
        means, halves = [one.mean for one in found], [one.half for one in found]
        return Curve(way.name, ticks, means, halves, COLOURS[way.method], dashed=not way.sharing)


SWEEPS: Final = tuple(Sweep(coordinate) for coordinate in COORDINATES)


def write_sidecar(
    folder: Path, preset: Preset, runs: int, seed: int, traces: Sequence[str]
) -> Path:
    """Write `setting.json`: all that the results depend on. Returns its path."""
    document: dict[str, Any] = {
        "trunkline": trunkline.__version__,
        "seed": seed,
        "realisations": runs,
        "traces": list(traces),
        "ways": [
            {"method": way.method, "sharing": way.sharing, "options": dict(way.options)}
            for way in WAYS
        ],
        "preset": msgspec.to_builtins(preset),
    }
    path = folder / "setting.json"
    write_json(path, document)
    return path


def _shown(results: Results, cell: Cell, metric: str) -> Estimate:
    """The mean; of times the median, which a busy machine disturbs less."""
    samples = results.samples(cell, metric)
    if metric == "planning_s":
        return Estimate(float(np.median(samples)), 0.0)
    return estimate(samples)

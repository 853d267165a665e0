"""The values of the figures, one cell each: a line in a scene, for one realisation at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.lines import Line
from trunkline.experiments.preset import Point, Preset
from trunkline.experiments.scenario import Realisation, Sharing
from trunkline.loading import LoadingProblem

Values = NDArray[np.float64]
"""Shape (runs, cells, 3): served ratio, proven (0 or 1), seconds of planning."""

RATIO, PROVEN, SECONDS = range(3)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a problem is drawn from.

    Attributes:
        preset: the setting.
        sharing: which layers models share.
        models: I.
        point: where in the sweeps.
    """

    preset: Preset
    sharing: Sharing
    models: int
    point: Point


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a figure: what a line serves in a scene."""

    scene: Scene
    line: Line


class Table:
    """Cells side by side, each once, and how to fill them.

    Attributes:
        cells: the cells in their order.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells: tuple[Cell, ...] = tuple(dict.fromkeys(cells))
        self._position = {cell: n for n, cell in enumerate(self.cells)}
        scenes: dict[Scene, list[tuple[int, Line]]] = {}
        for n, cell in enumerate(self.cells):
            scenes.setdefault(cell.scene, []).append((n, cell.line))
        draws: dict[tuple[Preset, Sharing, int], list[Scene]] = {}
        for scene in scenes:
            draws.setdefault((scene.preset, scene.sharing, scene.models), []).append(scene)
        self._draws = [
            (*key, [(scene.point, scenes[scene]) for scene in group])
            for key, group in draws.items()
        ]

    @property
    def identity(self) -> Iterator[str]:
        """Lines that name all that the values depend on, beside the seed and the code."""
        for cell in self.cells:
            scene = cell.scene
            yield (
                f"{scene.preset.digest} {scene.sharing} {scene.models} {scene.point} {cell.line} "
                f"{cell.line.planner} {cell.line.prepare}"
            )

    def position(self, cell: Cell) -> int:
        """Where a cell's values stand (KeyError if it is not there)."""
        return self._position[cell]

    def fill(self, run: int, seed: int) -> Values:
        """The values of all cells in one realisation, shape (cells, 3)."""
        values = np.empty((len(self.cells), 3))
        for preset, sharing, models, points in self._draws:
            realisation = Realisation(preset, sharing, models, run, seed)
            for point, lines in points:
                problem = realisation.problem(point)
                for n, line in lines:
                    values[n] = _value(line, problem, preset.slot_s)
        return values


def _value(line: Line, problem: LoadingProblem, slot_s: float) -> tuple[float, float, float]:
    started = time.perf_counter()
    plan = line.plan(problem, slot_s)
    seconds = time.perf_counter() - started
    return plan.served / max(plan.tasks, 1), float(plan.proven), seconds


class Results:
    """A table and its values in many realisations."""

    def __init__(self, table: Table, values: Values) -> None:
        self.table = table
        self.values = values

    @property
    def runs(self) -> int:
        """How many realisations there are."""
        return int(self.values.shape[0])

    def ratios(self, cell: Cell) -> NDArray[np.float64]:
        """The served ratio of a cell in each realisation, shape (runs,)."""
        column: NDArray[np.float64] = self.values[:, self.table.position(cell), RATIO]
        return column

    def proven(self, cell: Cell) -> float:
        """The share of realisations in which the cell's plan is proven optimal."""
        return float(self.values[:, self.table.position(cell), PROVEN].mean())

    def median_s(self, cell: Cell) -> float:
        """The median of the seconds that planning took."""
        return float(np.median(self.values[:, self.table.position(cell), SECONDS]))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over realisations with a 95 % confidence interval: `mean +- half`.

    The interval is 1.96 standard errors to either side (normal approximation); for a difference of
    lines it is that of the differences, which are taken realisation by realisation.
    """

    mean: float
    half: float


def estimate(samples: NDArray[np.float64]) -> Estimate:
    """The estimate from independent samples, shape (runs,); no interval from a single one."""
    if samples.size < 2:
        return Estimate(float(samples.mean()), float("nan"))
    error = float(samples.std(ddof=1)) / float(np.sqrt(samples.size))
    return Estimate(float(samples.mean()), 1.96 * error)

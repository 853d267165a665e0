"""The values of the pulling figures, one cell each: a way of planning at a point."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.pulling.apart import whole_models
from trunkline.experiments.pulling.preset import Point, Preset
from trunkline.experiments.pulling.scenes import NOTHING, Realisation, Recorded
from trunkline.experiments.pulling.ways import Way
from trunkline.pulling import solve
from trunkline.pulling.compiling import ScenarioProblem, compile_scenario
from trunkline.pulling.outcome import outcome_of
from trunkline.pulling.pricing import Pricing
from trunkline.pulling.scenario import Scenario

METRICS: Final = (
    "total_delay_s", "average_cost_s", "average_accuracy", "planning_s", "at_sites", "pulled_bytes",
    "certificate",
)  # fmt: skip
"""What is kept of every plan: delay of all requests; the objective a request (delay and priced
energy); mean accuracy; seconds of planning; the share of requests that sites serve; bytes pulled;
cost over the proved bound."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry of a figure."""

    point: Point
    way: Way


class Table:
    """Cells side by side, each once, and how to fill them.

    Attributes:
        cells: in their order.
    """

    def __init__(self, preset: Preset, cells: Iterable[Cell], recorded: Recorded = NOTHING) -> None:
        self.cells: tuple[Cell, ...] = tuple(dict.fromkeys(cells))
        self.preset = preset
        self.recorded = recorded
        self._position = {cell: n for n, cell in enumerate(self.cells)}

    @property
    def identity(self) -> Iterator[str]:
        """Lines that name all that the values depend on, beside seed and code."""
        yield f"{self.preset.digest} {self.recorded}"
        for cell in self.cells:
            yield f"{msgspec.json.encode(cell.point).decode()} {cell.way}"

    def position(self, cell: Cell) -> int:
        """Where a cell's values stand (KeyError if it is not there)."""
        return self._position[cell]

    def fill(self, run: int, seed: int) -> Values:
        """The values of all cells in one realisation, shape (cells, METRICS)."""
        values = np.empty((len(self.cells), len(METRICS)))
        realisation = Realisation(self.preset, run, seed, self.recorded)
        for point in dict.fromkeys(cell.point for cell in self.cells):
            worlds = _Worlds(realisation.scenario(point))
            for cell in self.cells:
                if cell.point == point:
                    values[self._position[cell]] = worlds.values(cell.way)
        return values


class _Worlds:
    """A scenario and its problem, with and without sharing."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._problems: dict[bool, ScenarioProblem] = {}

    def values(self, way: Way) -> tuple[float, ...]:
        """`METRICS` of the plan that a way makes."""
        problem = self._problem(way.sharing)
        started = time.perf_counter()
        plan = solve(problem, way.method, **dict(way.options))
        seconds = time.perf_counter() - started
        found = outcome_of(problem.pricing or Pricing(self._scenario), plan)
        requests = max(len(problem.requests), 1)
        return (
            found.delay_s,
            plan.cost / requests,
            found.accuracy,
            seconds,
            found.served_at_sites / requests,
            found.pulled_bytes,
            plan.certificate,
        )

    def _problem(self, sharing: bool) -> ScenarioProblem:
        if sharing not in self._problems:
            scenario = self._scenario if sharing else whole_models(self._scenario)
            self._problems[sharing] = compile_scenario(scenario)
        return self._problems[sharing]


class Results:
    """A table and its values in many realisations, shape (runs, cells, METRICS)."""

    def __init__(self, table: Table, values: Values) -> None:
        self.table = table
        self.values = values

    @property
    def runs(self) -> int:
        """How many realisations there are."""
        return int(self.values.shape[0])

    def samples(self, cell: Cell, metric: str) -> Values:
        """A metric of a cell in each realisation, shape (runs,)."""
        column: Values = self.values[:, self.table.position(cell), METRICS.index(metric)]
        return column

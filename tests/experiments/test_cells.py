"""The values of the figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.experiments.tiny import tiny_preset
from trunkline.experiments.cells import (
    PROVEN,
    RATIO,
    SECONDS,
    Cell,
    Results,
    Scene,
    Table,
    estimate,
)
from trunkline.experiments.lines import gen, optimal
from trunkline.experiments.scenario import Realisation

PRESET = tiny_preset()
SCENES = [Scene(PRESET, "bottom", 6, PRESET.point), Scene(PRESET, "general", 5, PRESET.point)]
LINES = [optimal("sum"), gen(("sum", "slots"))]


def test_a_value_is_what_the_line_serves_of_the_realisation():
    """Each cell's ratio is that of the line's plan for the scene's problem, wherever it stands."""
    table = Table(Cell(scene, line) for line in LINES for scene in SCENES)
    values = table.fill(7, seed=3)
    assert values.shape == (4, 3)
    for cell in table.cells:
        scene = cell.scene
        problem = Realisation(PRESET, scene.sharing, scene.models, 7, 3).problem(scene.point)
        plan = cell.line.plan(problem, PRESET.slot_s)
        found = values[table.position(cell)]
        assert found[RATIO] == plan.served / 8
        assert found[PROVEN] == plan.proven
        assert found[SECONDS] > 0


def test_a_cell_named_twice_is_computed_once():
    """Figures may share cells."""
    cell = Cell(SCENES[0], LINES[0])
    assert Table([cell, Cell(SCENES[0], optimal("sum"))]).cells == (cell,)


def test_results_give_the_columns_of_a_cell():
    """Ratios by realisation, the share of proven plans, the median time."""
    cells = [Cell(SCENES[0], line) for line in LINES]
    values = np.array([[[0.5, 1, 2e-3], [0.4, 0, 1.0]], [[0.7, 0, 4e-3], [0.3, 0, 3.0]]])
    results = Results(Table(cells), values)
    assert results.runs == 2
    assert results.ratios(cells[0]).tolist() == [0.5, 0.7]
    assert results.proven(cells[0]) == 0.5
    assert results.median_s(cells[1]) == 2.0


def test_an_interval_is_196_standard_errors_to_either_side():
    """Of 1, 2, 3, 4: mean 2.5, standard deviation sqrt(5/3), four samples."""
    found = estimate(np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.mean == 2.5
    assert found.half == pytest.approx(1.96 * math.sqrt(5 / 3) / 2)
    assert math.isnan(estimate(np.array([1.0])).half)


def test_the_interval_covers_the_mean_in_95_of_100_cases():
    """Over 2,000 samples of 50 uniform numbers, 92 to 98 % of the intervals hold 1/2."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        found = estimate(rng.random(50))
        covered += abs(found.mean - 0.5) <= found.half
    assert 0.92 < covered / 2000 < 0.98

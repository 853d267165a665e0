"""The comparison with the abstract."""

from __future__ import annotations

import numpy as np
import pytest

from tests.experiments.pulling.tiny import tiny_preset
from trunkline.experiments.pulling.comparison import PAIRS, PAPER, change, comparison
from trunkline.experiments.pulling.figures import SWEEPS
from trunkline.experiments.pulling.table import METRICS, Cell, Results, Table
from trunkline.experiments.pulling.ways import WAYS

PRESET = tiny_preset()


def made_up(values) -> Results:
    """Results at two points in which ours costs what `values` says, in percent of all others."""
    points = PRESET.points("requests")
    table = Table(PRESET, (Cell(point, way) for point in points for way in WAYS))
    found = np.full((len(values[0]), len(table.cells), len(METRICS)), 100.0)
    for point, ours in zip(points, values, strict=True):
        found[:, table.position(Cell(point, WAYS[0]))] = np.array(ours)[:, None]
    return Results(table, found)


def test_changes_are_taken_within_realisations():
    """-30 and -50 percent are -40 on average, +- 1.96 standard errors: 1.96 * 14.14/sqrt(2)."""
    results = made_up([[70.0, 50.0], [100.0, 100.0]])
    found = change(results, PRESET.points("requests")[0], PAIRS[0], "total_delay_s")
    assert found.mean == pytest.approx(-40.0)
    assert found.half == pytest.approx(19.6)


def test_the_range_is_from_worst_to_best():
    """Over points with -40 and +10 percent, less is better of delay, more of accuracy."""
    results = made_up([[60.0, 60.0], [110.0, 110.0]])
    points = PRESET.points("requests")
    rows = comparison(results, points[0], points)
    assert len(rows) == len(PAIRS) * len(PAPER)
    ranges = {row.measure: (row.worst, row.best) for row in rows if row.pair == PAIRS[0]}
    assert ranges["total_delay_s"] == pytest.approx((10.0, -40.0))
    assert ranges["average_accuracy"] == pytest.approx((-40.0, 10.0))


def test_every_pair_names_two_ways_of_the_sweeps():
    """What is compared is simulated, and nothing is compared with itself."""
    for pair in PAIRS:
        assert {pair.ours, pair.baseline} <= set(WAYS)
        assert pair.ours != pair.baseline


def test_sweeps_have_the_default_names():
    """The names on the command line are those of the coordinates."""
    names = [sweep.name for sweep in SWEEPS]
    assert names == ["sites", "requests", "models", "storage", "accuracy", "shared"]

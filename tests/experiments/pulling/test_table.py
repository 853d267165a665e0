"""The values of the pulling figures."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.experiments.pulling.tiny import tiny_preset
from trunkline.experiments.pulling.scenes import Recorded
from trunkline.experiments.pulling.table import METRICS, Cell, Results, Table
from trunkline.experiments.pulling.ways import Way

PRESET = tiny_preset()
TIMED = METRICS.index("planning_s")


def table(*ways: Way, preset=PRESET) -> Table:
    """The table of some ways at the default point."""
    return Table(preset, [Cell(preset.point, way) for way in ways])


def test_values_are_the_same_for_the_same_draw():
    """All but the seconds of planning depend on the seed and the run alone."""
    one, other = (
        np.delete(table(Way("greedy"), Way("fallback")).fill(1, 5), TIMED, axis=1) for _ in "ab"
    )
    assert (one == other).all()


def test_the_cost_is_delay_and_energy():
    """Where energy has no price, a request's average cost is the total delay over the requests."""
    free = msgspec.structs.replace(PRESET, seconds_per_joule=0.0)
    made = table(Way("greedy"), Way("greedy", sharing=False), preset=free)
    results = Results(made, made.fill(0, 0)[None])
    for cell in made.cells:
        delay, cost = (results.samples(cell, m)[0] for m in ("total_delay_s", "average_cost_s"))
        assert cost == pytest.approx(delay / free.point.requests)


def test_all_at_the_data_centre_pulls_nothing():
    """The fallback serves nobody at a site and pulls no byte."""
    made = table(Way("fallback"))
    results = Results(made, made.fill(0, 0)[None])
    for metric in ("at_sites", "pulled_bytes"):
        assert results.samples(made.cells[0], metric)[0] == 0


def test_what_values_depend_on_is_in_their_name():
    """Another preset, other options and other demands are other tables."""
    lines = [
        list(one.identity)
        for one in (
            table(Way("greedy")),
            table(Way("greedy"), preset=tiny_preset(reach=2)),
            table(Way("optimal", options=(("time_limit_s", 1.0),))),
            table(Way("optimal", options=(("time_limit_s", 2.0),))),
            Table(PRESET, [Cell(PRESET.point, Way("greedy"))], Recorded((1.0,))),
        )
    ]
    assert len({tuple(one) for one in lines}) == len(lines)

"""The sweeps: schemes in order, and rho."""

from __future__ import annotations

import pytest

from tests.streaming.problems import one_user
from trunkline.experiments.streaming.results import ALL
from trunkline.experiments.streaming.scenario import Realisation, Setting
from trunkline.experiments.streaming.sweeps import SCHEMES, compute_share, served, values
from trunkline.streaming import Device, solve


@pytest.mark.parametrize("run", range(2))
def test_no_scheme_serves_more_than_optimal(run):
    """At every point of every sweep `optimal` serves the most, and every plan holds."""
    found = iter(values(run, 0, ALL))
    for sweep in ALL:
        for point in sweep.points:
            counts = {scheme: next(found)[0] for scheme in sweep.schemes}
            assert max(counts.values()) == counts["optimal"], (sweep.name, point.x, counts)
    assert next(found, None) is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_serves_somebody(scheme):
    """In an easy setting each scheme has a plan that holds."""
    problem = Realisation().problem(Setting(users=10, deadline_s=20.0, energy_j=5.0))
    count, rho = served(problem, scheme, 0.0)
    assert count > 0
    assert 0 < rho < 1


def test_compute_share_by_hand():
    """.6 s of 3 s at top speed; at half of it where the energy allows no more."""
    problem = one_user([8], [0.6], deadline_s=3.0)
    assert compute_share(problem, solve(problem).users[0]) == pytest.approx(0.2)
    # .6 cycles at eta 1: 0.6 J at 1 Hz, .15 J at half.
    slow = one_user([8], [0.6], deadline_s=3.0, device=Device(1.0, 1.0, 1.0), energy_j=0.15)
    assert compute_share(slow, solve(slow).users[0]) == pytest.approx(0.4)


def test_whole_models_ignore_what_devices_hold():
    """The scheme that sends whole models serves what it would if nobody held anything."""
    drawn = Realisation(1)
    holding = drawn.problem(Setting(holding=0.5))
    nothing = drawn.problem(Setting())
    assert served(holding, "whole models", 0.0)[0] == served(nothing, "optimal", 0.0)[0]
    assert served(holding, "optimal", 0.0)[0] > served(nothing, "optimal", 0.0)[0]

"""The linear relaxation and its bound."""

from __future__ import annotations

import numpy as np
import pytest

import trunkline
from trunkline.pulling import relaxation
from trunkline.pulling.reduced import reduce
from trunkline.timing import TimeLimit


def test_the_bound_is_the_relaxations_cost_and_below_the_optimum(make_problem):
    """The prices prove what the solution costs, and no plan costs less."""
    for seed in range(40):
        problem = make_problem(seed, sites=4, requests=6)
        relaxed = relaxation.relax(reduce(problem), TimeLimit(None))
        assert relaxed.bound == pytest.approx(relaxed.cost, rel=1e-6, abs=1e-6)
        assert relaxed.bound <= trunkline.plan(problem, "exhaustive").cost * (1 + 1e-9)


def test_shares_keep_the_programmes_rows(make_problem):
    """x serves each request at most once, y is no less than what any request needs of a unit, and
    storage and compute suffice, divided by the scale."""
    for seed in range(20):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        solved = relaxation.relax(reduced, TimeLimit(None), scale=2.0)
        for options in map(reduced.request_options.__getitem__, range(len(reduced.fallback))):
            assert solved.x[options].sum() <= 1 + 1e-9
            for option in options:
                units = reduced.bundle_units[int(reduced.option_bundle[option])]
                assert (solved.y[units] >= solved.x[option] - 1e-9).all()
        for c in range(reduced.storage.size):
            stored = (reduced.unit_size * solved.y)[reduced.unit_site == c].sum()
            load = (reduced.option_compute * solved.x)[reduced.option_site == c].sum()
            assert stored <= reduced.storage[c] / 2 + 1e-6
            assert load <= reduced.compute[c] / 2 + 1e-6


def test_columns_are_generated_until_the_bound_is_close(make_problem, monkeypatch):
    """From one option of each request, the parts come close to the whole's value, and every bound
    on the way is one."""
    for seed in range(20):
        reduced = reduce(make_problem(seed, sites=4, requests=8, tight=seed % 2 == 0))
        whole = relaxation.relax(reduced, TimeLimit(None)).bound
        proved: list[float] = []
        priced = relaxation._priced

        def spy(part, prices, priced=priced, proved=proved):
            found = priced(part, prices)
            proved.append(found[0])
            return found

        with monkeypatch.context() as patch:
            patch.setattr(relaxation, "FEW", 0)
            patch.setattr(relaxation, "ADDED", 1)
            patch.setattr(relaxation, "_priced", spy)
            parts = relaxation.relax(reduced, TimeLimit(None))
        unit = max(float(reduced.fallback.max(initial=0.0)), 1e-300)
        assert parts.bound == pytest.approx(whole, rel=2e-3, abs=1e-6)
        assert all(bound * unit <= whole * (1 + 1e-9) + 1e-9 for bound in proved)


def test_without_time_there_is_no_share_and_no_bound(make_problem):
    """A limit that is up leaves every request at the data centre."""
    reduced = reduce(make_problem(3))
    relaxed = relaxation.relax(reduced, TimeLimit(0.0))
    assert not relaxed.x.any()
    assert relaxed.bound <= float(np.sum(reduced.fallback))

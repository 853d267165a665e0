"""The method `rounding` as a whole."""

from __future__ import annotations

import numpy as np
import pytest

import trunkline
from trunkline.errors import InputError
from trunkline.pulling import Option, PullingProblem, Request, Site


def test_it_is_within_five_percent_of_the_optimum_on_average(make_problem):
    """On 30 problems of the size that HiGHS proves, its plans hold and cost 1.05 times the least at
    most on average; the certificate covers each of them."""
    ratios = []
    for seed in range(30):
        problem = make_problem(
            seed, sites=5, requests=12, models=6, blocks=8, accounting=("once", "paper")[seed % 2]
        )
        plan = trunkline.plan(problem, "rounding", seed=seed)
        best = trunkline.plan(problem, "optimal")
        assert best.proven
        assert trunkline.check(problem, plan) == []
        assert plan.bound <= best.cost * (1 + 1e-6)
        assert plan.cost <= plan.certificate * best.cost * (1 + 1e-6) or best.cost == 0
        ratios.append(plan.cost / best.cost if best.cost else 1.0)
    assert np.mean(ratios) <= 1.05


def test_the_same_seed_gives_the_same_plan(make_problem):
    """Without a limit a plan depends on the seed alone."""
    problem = make_problem(12, sites=5, requests=12, models=6, blocks=8)
    plans = [
        trunkline.plan(problem, "rounding", seed=7, time_limit_s=None).to_dict() for _ in range(2)
    ]
    for plan in plans:
        del plan["solve_s"]
    assert plans[0] == plans[1]


def test_without_time_the_plan_still_holds(make_problem):
    """A limit of 0 seconds gives a plan that the checker accepts."""
    for seed in range(10):
        problem = make_problem(seed, requests=8)
        plan = trunkline.plan(problem, "rounding", time_limit_s=0.0)
        assert trunkline.check(problem, plan) == []


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_unit_of_cost_does_not_matter(make_problem, factor):
    """All costs times a factor: the same choices, and the cost and bound times it."""
    for seed in range(5):
        problem = make_problem(seed, requests=8)
        other = PullingProblem(
            problem.blocks,
            tuple(
                Site(
                    s.id,
                    s.storage_bytes,
                    s.compute,
                    s.resident,
                    {b: cost * factor for b, cost in s.pull_cost.items()},
                )
                for s in problem.sites
            ),
            tuple(
                Request(
                    r.id,
                    r.fallback_cost * factor,
                    tuple(
                        Option(o.site, o.model, o.blocks, o.cost * factor, o.compute)
                        for o in r.options
                    ),
                )
                for r in problem.requests
            ),
        )
        plans = [trunkline.plan(p, "rounding") for p in (problem, other)]
        assert plans[1].cost == pytest.approx(plans[0].cost * factor, rel=1e-6)
        assert plans[1].bound == pytest.approx(plans[0].bound * factor, rel=1e-4)


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ({"samples": -1}, "samples: at least 0, got -1"),
        ({"seed": -1}, "seed: at least 0, got -1"),
        ({"time_limit_s": -1.0}, "time_limit_s: at least 0, got -1"),
    ],
)
def test_numbers_below_zero_are_refused(make_problem, keyword, said):
    """Samples, seeds and limits are at least 0."""
    with pytest.raises(InputError, match=said):
        trunkline.plan(make_problem(1), "rounding", **keyword)

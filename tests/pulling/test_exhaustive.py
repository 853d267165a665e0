"""Brute force, and the definition that it tries."""

from __future__ import annotations

import math

import pytest

import trunkline
from trunkline.errors import UnsupportedProblemError
from trunkline.pulling import Option, PullingProblem, Request, Site
from trunkline.pulling.costs import cost_of, simple_bound
from trunkline.pulling.exhaustive import objective

A = Option("c1", "m1", ("trunk", "a"), cost=1.0, compute=1.0)
B = Option("c1", "m2", ("trunk", "b"), cost=1.5, compute=2.0)
SHARED = PullingProblem(
    blocks={"trunk": 8.0, "a": 1.0, "b": 2.0},
    sites=(Site("c1", 11.0, 3.0, pull_cost={"trunk": 4.0, "a": 0.5}),),
    requests=(Request("r1", 9.0, (A,)), Request("r2", 5.0, (B,))),
)


def test_the_objective_by_hand():
    """A block that two chosen models share is paid and stored once; 'b' has no price."""
    assert objective(SHARED, (A, None)) == 1.0 + 4.5 + 5.0
    assert objective(SHARED, (A, B)) == 1.0 + 1.5 + 4.0 + 0.5  # 11 bytes and a compute of 3 fit
    assert objective(SHARED, (None, None)) == 14.0


@pytest.mark.parametrize("limits", [(10.9, 3.0), (11.0, 2.9)])
def test_the_objective_sums_storage_and_compute_per_site(limits):
    """Options that fit alone and not together have no cost."""
    site = Site("c1", *limits)
    problem = PullingProblem(SHARED.blocks, (site,), SHARED.requests)
    assert math.isinf(objective(problem, (A, B)))
    assert math.isfinite(objective(problem, (A, None)) + objective(problem, (None, B)))


def test_brute_force_by_hand():
    """Together the two pay the trunk once: 7 where apart it were 10.5 (r1 alone) or 14 (none)."""
    plan = trunkline.plan(SHARED, "exhaustive")
    assert (plan.cost, plan.proven) == (7.0, True)
    assert [(pull.site, pull.block) for pull in plan.pulls] == [
        ("c1", "a"), ("c1", "b"), ("c1", "trunk"),
    ]  # fmt: skip
    assert trunkline.check(SHARED, plan) == []


def test_plans_of_random_problems_pass_the_checker(make_problem):
    """Brute force's cost is the cost of its plan, and no simple bound is above it."""
    for seed in range(100):
        problem = make_problem(seed, accounting=("once", "paper")[seed % 2])
        plan = trunkline.plan(problem, "exhaustive")
        assert trunkline.check(problem, plan) == []
        assert plan.proven
        assert simple_bound(problem) <= plan.cost * (1 + 1e-12)
        options = {(r.id, o.site, o.model): o for r in problem.requests for o in r.options}
        chosen = [options.get((c.request, c.site, c.model)) for c in plan.choices]
        assert cost_of(problem, chosen) == pytest.approx(objective(problem, chosen))


def test_large_problems_are_refused(make_problem):
    """Brute force says its limit instead of running for ever."""
    many = tuple(Request(f"r{n}", 1.0, (A,)) for n in range(17))  # 2^17 = 131,072 ways
    problem = PullingProblem(SHARED.blocks, SHARED.sites, many)
    with pytest.raises(UnsupportedProblemError, match=r"at most 100,000 ways.* has 131,072"):
        trunkline.plan(problem, "exhaustive")

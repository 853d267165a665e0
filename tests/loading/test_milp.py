"""`milp`: the plain formulation, solved by HiGHS."""

from __future__ import annotations

import pytest

import trunkline
from trunkline.errors import UnsupportedProblemError


@pytest.mark.parametrize("upload", ["sum", "max"])
@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_equals_the_other_exact_method(make_problem, sharing, upload):
    """Two exact methods that share no algorithm agree on the count, and prove it."""
    for seed in range(40):
        problem = make_problem(seed, sharing, seed % 2 == 0)
        best = trunkline.plan(problem, upload=upload)
        plan = trunkline.plan(problem, "milp", upload=upload)
        assert (plan.served, plan.bound) == (best.served, best.served), seed
        assert trunkline.check(problem, plan, upload=upload) == [], seed


def test_out_of_time_nothing_is_claimed(make_problem):
    """Stopped at once, the plan holds and the bound is not below the optimum."""
    for seed in range(20):
        problem = make_problem(seed, "scattered")
        best = trunkline.plan(problem).served
        plan = trunkline.plan(problem, "milp", time_limit_s=0.0)
        assert trunkline.check(problem, plan) == []
        assert plan.served <= best <= plan.bound


def test_problems_with_optional_fields_are_refused(make_problem):
    """What is not the paper's problem is refused with the reason."""
    with pytest.raises(UnsupportedProblemError, match="'milp' takes one deadline"):
        trunkline.plan(make_problem(1, memory_bytes=5.0), "milp")


def test_too_many_models_are_refused(make_problem, monkeypatch):
    """A library whose arcs would fill the memory is refused with the limit."""
    monkeypatch.setattr("trunkline.loading.milp.MAX_MODELS", 1)
    with pytest.raises(UnsupportedProblemError, match="at most 1 models with tasks in reach"):
        trunkline.plan(make_problem(4), "milp")

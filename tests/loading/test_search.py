"""`search`: plans by local search, with a bound."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import trunkline
from trunkline.errors import UnsupportedProblemError
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task


@pytest.fixture(autouse=True)
def _no_tables_for_scattered_sharing(monkeypatch):
    """Leave even the smallest scattered components to the search."""
    monkeypatch.setattr("trunkline.loading.parts.fits", lambda tasks: False)


@pytest.mark.parametrize("upload", ["sum", "max"])
@pytest.mark.parametrize("overhead", [False, True])
def test_plans_hold_and_bounds_are_valid(make_problem, overhead, upload):
    """On tiny problems plans hold, are nearly always optimal, and the bound is never below the
    optimum."""
    found = 0
    for seed in range(100):
        problem = make_problem(seed, "scattered", overhead)
        best = trunkline.plan(problem, "exhaustive", upload=upload).served
        plan = trunkline.plan(problem, "search", upload=upload)
        assert trunkline.check(problem, plan, upload=upload) == [], seed
        assert plan.served <= best <= plan.bound, seed
        found += plan.served == best
    assert found >= 98


def ring(models: int, seed: int) -> LoadingProblem:
    """Each model shares blocks with a few others, at random; several tasks each."""
    rng = random.Random(seed)
    blocks = {f"b{b}": float(rng.randint(1, 9)) for b in range(2 * models)}
    held = [Model(f"m{i}", tuple(rng.sample(sorted(blocks), models))) for i in range(models)]
    return LoadingProblem(
        12.0 * models,
        1.0,
        Link((Stage(1.0),)),
        ModelLibrary(blocks, held),
        tuple(LoadingModel(m.id, 0.5, 0.1, 4) for m in held),
        tuple(Task(f"u{k}", f"m{rng.randrange(models)}", 1.0, 2.0) for k in range(6 * models)),
    )


def test_close_to_the_proven_optimum():
    """On components of 20 models the plan is within 2 % of the proven optimum."""
    for seed in range(4):
        problem = ring(20, seed)
        best = trunkline.plan(problem)
        plan = trunkline.plan(problem, "search")
        assert trunkline.check(problem, plan) == []
        assert best.proven
        assert 0.98 * best.served <= plan.served <= best.served <= plan.bound


def test_the_order_of_models_and_tasks_does_not_show():
    """Shuffled models and tasks: the same count."""
    problem = ring(16, 1)
    order = list(range(16))
    random.Random(0).shuffle(order)
    library = ModelLibrary(problem.library.blocks, [problem.library.models[i] for i in order])
    other = replace(
        problem,
        library=library,
        models=tuple(problem.models[i] for i in order),
        tasks=problem.tasks[::-1],
    )
    one, two = (trunkline.plan(p, "search") for p in (problem, other))
    assert (one.served, one.bound) == (two.served, two.bound)
    assert one.finish_s == pytest.approx(two.finish_s)


def test_more_time_is_never_worse():
    """With a time limit the search goes on from where the fixed effort ends."""
    problem = ring(24, 2)
    assert (
        trunkline.plan(problem, "search", time_limit_s=0.5).served
        >= trunkline.plan(problem, "search").served
    )
    plan = trunkline.plan(problem, "search", time_limit_s=0.0)
    assert trunkline.check(problem, plan) == []


def test_problems_with_optional_fields_are_refused(make_problem):
    """What is not the paper's problem is refused with the reason."""
    with pytest.raises(UnsupportedProblemError, match="'search' takes one deadline"):
        trunkline.plan(make_problem(1, memory_bytes=5.0), "search")

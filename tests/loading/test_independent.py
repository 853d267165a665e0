"""Whole-model loading, in continuous time and in slots."""

from __future__ import annotations

from dataclasses import replace

import trunkline
from trunkline.library import Model, ModelLibrary
from trunkline.loading import LoadingProblem


def unshared(problem: LoadingProblem) -> LoadingProblem:
    """The problem with every block held by one model only, under a name of that model's."""
    library = problem.library
    sizes = {f"{m.id}/{b}": library.blocks[b] for m in library for b in set(m.blocks)}
    models = [Model(m.id, tuple(f"{m.id}/{b}" for b in m.blocks)) for m in library]
    return replace(problem, library=ModelLibrary(sizes, models))


def test_in_slots_it_is_algorithm_2_without_sharing(make_problem):
    """Remark 4: Algorithm 2 on models that share nothing; never more than in continuous time."""
    for seed in range(120):
        problem = make_problem(seed, ("prefix", "scattered")[seed % 2], seed % 3 == 0)
        plan = trunkline.plan(problem, "independent", slot_s=0.7)
        assert trunkline.check(problem, plan) == []
        assert plan.served == trunkline.plan(unshared(problem), "paper", slot_s=0.7).served, seed
        assert plan.served <= trunkline.plan(problem, "independent").served, seed


def test_in_continuous_time_it_is_the_optimum_without_sharing(make_problem):
    """What `optimal` serves of a problem whose models share nothing."""
    for seed in range(60):
        problem = make_problem(seed, "scattered", seed % 2 == 0)
        best = trunkline.plan(unshared(problem))
        assert trunkline.plan(problem, "independent").served == best.served, seed

"""Algorithms 1 and 2 as printed and corrected."""

from __future__ import annotations

import math
from itertools import groupby

import pytest

import trunkline
from benchmarks.algorithm2 import algorithm_2
from trunkline.errors import UnsupportedProblemError
from trunkline.experiments.scenario import paper_problem
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingPlan, LoadingProblem, Task


def chain_problem() -> LoadingProblem:
    """The counterexample to (19): shared layers of 1 and 18 ms; model 1 is the first layer and
    19 ms of its own, model 2 both and 1, model 3 both and 30; 1, 1, 2 users; 5 slots of 10 ms."""
    blocks = {"s1": 1.0, "s2": 18.0, "o1": 19.0, "o2": 1.0, "o3": 30.0}
    models = [
        Model("1", ("s1", "o1")),
        Model("2", ("s1", "s2", "o2")),
        Model("3", ("s1", "s2", "o3")),
    ]
    return LoadingProblem(
        0.050,
        1.0,
        Link((Stage(1000.0),)),
        ModelLibrary(blocks, models),
        tuple(LoadingModel(m.id, 0.0, 0.0, 2) for m in models),
        tuple(Task(f"u{k}", model) for k, model in enumerate("1233")),
    )


def test_the_printed_recursion_misses_an_optimum():
    """Model 2 serves no more than model 1 but leaves both shared layers: printed 2, corrected 3."""
    problem = chain_problem()
    assert trunkline.plan(problem, "paper", variant="printed").served == 2
    corrected = trunkline.plan(problem, "paper", variant="corrected")
    assert corrected.served == 3
    assert trunkline.check(problem, corrected) == []
    assert trunkline.plan(problem).served == 3  # 19 + 1 + 30 = 50 ms: model 2, then model 3


def test_printed_batches_are_those_of_16():
    """Under `max`, (16) as printed groups 1, 2, 10 as {1, 2}, {10}; mended as {1}, {2, 10}."""
    library = ModelLibrary({}, [Model("m", ())])
    model = LoadingModel("m", 0.0, 0.0, 2)
    tasks = tuple(Task(f"u{u}", "m", float(u), 1.0) for u in (1, 2, 10))
    problem = LoadingProblem(12.0, 1.0, Link(), library, (model,), tasks)
    plans = {
        variant: trunkline.plan(problem, "paper", upload="max", slot_s=1.0, variant=variant)
        for variant in ("printed", "corrected")
    }
    batches = {variant: [b.tasks for b in plan.batches] for variant, plan in plans.items()}
    assert batches["printed"] == [("u1", "u2"), ("u10",)]
    assert batches["corrected"] == [("u1",), ("u2", "u10")]
    for plan in plans.values():
        assert trunkline.check(problem, plan, upload="max") == []


def test_printed_never_beats_corrected_never_beats_optimal(make_problem):
    """In whole slots the correction never serves fewer; slots never serve more than `optimal`."""
    compared = 0
    for seed in range(150):
        problem = make_problem(seed, "prefix", seed % 2 == 0)
        best = trunkline.plan(problem).served
        try:
            plans = [
                trunkline.plan(problem, "paper", slot_s=0.7, variant=variant)
                for variant in ("printed", "corrected")
            ]
        except UnsupportedProblemError:
            continue
        compared += 1
        assert plans[0].served <= plans[1].served <= best, seed
        assert all(trunkline.check(problem, plan) == [] for plan in plans), seed
    assert compared > 80


def slots_used(plan: LoadingPlan, slot_s: float) -> int:
    """The slots that a plan's visits take, each rounded up to whole ones."""
    used = 0
    for _, visit in groupby(plan.batches, key=lambda batch: batch.model):
        seconds = sum(b.upload_s + b.load_s + b.compute_s for b in visit)
        used += max(1, math.ceil(seconds / slot_s - 1e-9))
    return used


@pytest.mark.parametrize(
    ("variant", "upload"), [("printed", "sum"), ("printed", "max"), ("corrected", "sum")]
)
def test_it_serves_what_the_plain_algorithm_serves(make_problem, variant, upload):
    """As many tasks as Algorithm 2 written plainly from the listing, by visits within the slots."""
    compared = 0
    for seed in range(200):
        problem = make_problem(seed, "prefix", seed % 3 == 0)
        try:
            plan = trunkline.plan(problem, "paper", upload=upload, slot_s=0.7, variant=variant)
        except UnsupportedProblemError:
            continue
        compared += 1
        assert plan.served == algorithm_2(problem, 0.7, upload, variant), seed
        assert slots_used(plan, 0.7) <= problem.deadline_s / 0.7 + 1e-9, seed
        assert trunkline.check(problem, plan, upload=upload) == [], seed
    assert compared > 100


def test_it_serves_what_the_plain_algorithm_serves_at_the_papers_size():
    """The same for 50 models and 80 tasks, where the two variants differ."""
    problem = paper_problem(seed=2)
    served = {}
    for variant in ("printed", "corrected"):
        served[variant] = trunkline.plan(problem, "paper", variant=variant).served
        assert served[variant] == algorithm_2(problem, 0.01, "sum", variant)
    assert served["printed"] < served["corrected"]


def test_slots_that_round_nothing_reach_the_optimum(make_problem):
    """In slots that divide every time, the corrected algorithm serves what `optimal` serves."""
    for seed in range(40):
        problem = make_problem(seed, "prefix")
        try:
            plan = trunkline.plan(problem, "paper", slot_s=0.0125)
        except UnsupportedProblemError:
            continue
        # all times of these problems are multiples of 1/8 s, so slots of 1/80 s round nothing
        assert plan.served == trunkline.plan(problem).served, seed


def test_scattered_sharing_is_refused():
    """Algorithm 2 is for bottom-layer sharing; anything else is refused by name."""
    problem = chain_problem()
    models = [Model("1", ("s1", "s2")), Model("2", ("s2", "o1")), Model("3", ("o1", "s1"))]
    library = ModelLibrary(problem.library.blocks, models)
    other = LoadingProblem(0.05, 1.0, problem.loading, library, problem.models, problem.tasks)
    with pytest.raises(UnsupportedProblemError, match="bottom-layer sharing"):
        trunkline.plan(other, "paper")

"""The exhaustive search over orders of models."""

from __future__ import annotations

import random

import pytest

import trunkline
from tests.loading.conftest import random_document
from trunkline.errors import UnsupportedProblemError
from trunkline.experiments.orders import exhaustive_orders
from trunkline.experiments.scenario import paper_problem
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task


def rounded_problem() -> LoadingProblem:
    """Layers of 5 and 0.1 ms; model 1 keeps the first (own 9 ms), model 2 both (own 1 ms); one task
    each; two slots of 10 ms."""
    models = [Model("1", ("s1", "o1")), Model("2", ("s1", "s2", "o2"))]
    return LoadingProblem(
        0.020,
        1.0,
        Link((Stage(1000.0),)),
        ModelLibrary({"s1": 5.0, "s2": 0.1, "o1": 9.0, "o2": 1.0}, models),
        tuple(LoadingModel(m.id, 0.0, 0.0, 2) for m in models),
        (Task("u1", "1"), Task("u2", "2")),
    )


def test_in_slots_the_ascending_order_is_not_always_best():
    """Corollary 1 needs exact times. Ascending l: 5 + 9 ms in 2 slots, then 0.1 + 1 in a third.
    Descending: 6.1 ms in one slot, then 9 in the second. So Algorithm 2 serves 1, the search 2."""
    problem = rounded_problem()
    for variant in ("printed", "corrected"):
        assert trunkline.plan(problem, "paper", variant=variant).served == 1
    found = exhaustive_orders(problem, slot_s=0.01)
    assert [batch.model for batch in found.batches] == ["2", "1"]
    assert trunkline.check(problem, found) == []


def test_in_continuous_time_it_finds_the_optimum():
    """As many tasks as `optimal`, under both readings of the upload; the checker accepts it."""
    for seed in range(120):
        sharing = ("prefix", "scattered")[seed % 2]
        document = random_document(random.Random(seed), sharing=sharing, overhead=seed % 3 == 0)
        problem = trunkline.load(document)
        for upload in ("sum", "max"):
            found = exhaustive_orders(problem, upload=upload)
            assert trunkline.check(problem, found, upload=upload) == []
            assert found.served == trunkline.plan(problem, upload=upload).served, seed


def test_in_slots_it_is_between_algorithm_2_and_continuous_time():
    """In the setting of Fig. 9, loading slowly: never below Spec, never above the optimum."""
    lower = 0
    for run in range(15):
        problem = paper_problem(5, 20, deadline_s=0.1, run=run)
        found = exhaustive_orders(problem, slot_s=0.01).served
        assert trunkline.plan(problem, "paper").served <= found
        assert found <= trunkline.plan(problem).served
        lower += found < trunkline.plan(problem).served
    assert lower


def test_it_refuses_what_it_cannot_finish():
    """Tasks for more than six models are too many orders."""
    with pytest.raises(UnsupportedProblemError, match="at most 6 models"):
        exhaustive_orders(paper_problem(7, 60))

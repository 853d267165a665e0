"""`equal`: sub-channels of equal width."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

import trunkline
from trunkline.errors import InputError, UnsupportedProblemError
from trunkline.loading import LoadingProblem


def most_on_channels(problem: LoadingProblem, channels: int) -> int:
    """Brute force straight from Section VII-D: every task of a batch uploads over B/r, at most r of
    them at a time; no theorem, any batches in any order."""
    best: dict[tuple[frozenset[int], str], float] = {(frozenset(), ""): 0.0}
    most = 0
    for size in range(len(problem.tasks) + 1):
        for (served, last), clock in [item for item in best.items() if len(item[0][0]) == size]:
            most = max(most, size)
            for model, costs in zip(problem.library, problem.models, strict=True):
                held = set(problem.library[last].blocks) if last else set()
                missing = sum(problem.library.blocks[b] for b in set(model.blocks) - held)
                waiting = [
                    k
                    for k, task in enumerate(problem.tasks)
                    if task.model == model.id and k not in served
                ]
                for count in range(1, min(costs.max_batch, channels) + 1):
                    for batch in combinations(waiting, count):
                        end = clock + problem.loading.seconds(missing) + costs.seconds_per_batch
                        end += costs.seconds_per_task * count
                        end += max(upload_s(problem, k, channels) for k in batch)
                        state = (served | set(batch), model.id)
                        if end <= problem.deadline_s * (1 + 1e-9) and end < best.get(state, 1e99):
                            best[state] = end
    return most


def upload_s(problem: LoadingProblem, k: int, channels: int) -> float:
    """Seconds to upload one task over a sub-channel of B/r."""
    task = problem.tasks[k]
    rate = problem.bandwidth_hz / channels * task.bits_per_s_per_hz
    return 0.0 if task.upload_bits == 0 else task.upload_bits / rate if rate else math.inf


@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_equals_brute_force_over_batches_on_channels(make_problem, sharing):
    """With "optimal" no plan on r sub-channels serves more, however it batches; plans hold."""
    for seed in range(60):
        problem = make_problem(seed, sharing, seed % 2 == 0)
        for channels in (1, 2, 5):
            plan = trunkline.plan(problem, "equal", channels=channels)
            assert plan.served == most_on_channels(problem, channels), (seed, channels)
            assert trunkline.check(problem, plan) == [], seed
            assert all(len(batch.tasks) <= channels for batch in plan.batches)
            assert all(set(batch.shares) == {1 / channels} for batch in plan.batches)


def test_optimal_shares_never_serve_fewer(make_problem):
    """Shares that may differ include equal ones."""
    for seed in range(60):
        problem = make_problem(seed, "scattered", True)
        best = trunkline.plan(problem)
        for channels in (1, 2, 3, 10):
            plan = trunkline.plan(problem, "equal", channels=channels)
            assert plan.served <= best.served
            assert plan.bound >= best.served


@pytest.mark.parametrize("planner", ["greedy", "paper"])
def test_the_papers_planners_plan_on_channels(make_problem, planner):
    """Algorithms 1+2 and 3, slotted or not, give plans that hold and are not above the optimum."""
    for seed in range(40):
        problem = make_problem(seed)
        for slot_s in (None, 0.5):
            options = {"planner": planner, "channels": 2, "slot_s": slot_s or 0.25}
            try:
                plan = trunkline.plan(problem, "equal", **options)
            except UnsupportedProblemError:  # a trie that is no chain
                continue
            assert trunkline.check(problem, plan) == []
            assert plan.served <= trunkline.plan(problem, "equal", channels=2).served


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels: at least 1, got 0"),
        ({"planner": "best"}, "planner: one of optimal, greedy, paper, got 'best'"),
        ({"slot_s": 0.1}, "slot_s: planner 'optimal' has no such option"),
        ({"planner": "greedy", "variant": "printed"}, "variant: planner 'greedy' has no such"),
    ],
)
def test_options_out_of_range_are_refused(make_problem, options, message):
    """An option that cannot be is an error that names it."""
    with pytest.raises(InputError, match=message):
        trunkline.plan(make_problem(1), "equal", **options)


def test_problems_with_arrivals_are_refused(make_problem):
    """What is not the paper's problem is refused with the reason."""
    problem = make_problem(1, memory_bytes=5.0)
    with pytest.raises(UnsupportedProblemError, match="'equal' takes one deadline"):
        trunkline.plan(problem, "equal")

"""The fast method: its plans hold, its gap is small, and the order of input does not show."""

from __future__ import annotations

import random

import pytest

import trunkline
from trunkline.errors import InputError
from trunkline.loading.document import problem_to_document
from trunkline.loading.insertion import greedy_groups, improve
from trunkline.loading.line import Line
from trunkline.loading.sequence import BatchSequence
from trunkline.loading.service import Reading

READINGS = ["sum", "max"]


@pytest.mark.parametrize("upload", READINGS)
def test_plans_hold_and_are_near_the_optimum(make_extended, upload):
    """Every plan passes the checker, serves no fewer than the greedy one, and all of them together
    within two per cent of what brute force serves."""
    served = best = 0
    for seed in range(150):
        problem = make_extended(seed)
        plan = trunkline.plan(problem, "insertion", upload=upload)
        exact = trunkline.plan(problem, "exhaustive", upload=upload)
        assert trunkline.check(problem, plan, upload=upload) == [], seed
        assert plan.served >= trunkline.plan(problem, "greedy", upload=upload).served, seed
        assert plan.served <= exact.served <= plan.bound, seed
        served, best = served + plan.served, best + exact.served
    assert served >= 0.98 * best


def test_plain_problems_too(make_problem):
    """Problems without optional fields are planned as well, under a valid bound."""
    for seed in range(60):
        problem = make_problem(seed, "scattered", seed % 2 == 0)
        plan = trunkline.plan(problem, "insertion")
        assert trunkline.check(problem, plan) == []
        assert plan.served <= trunkline.plan(problem).served <= plan.bound


def test_the_order_of_input_does_not_show(make_extended):
    """Tasks and models in another order: as many tasks served."""
    for seed in range(40):
        problem = make_extended(seed)
        document = problem_to_document(problem)
        rng = random.Random(seed)
        for part in ("tasks", "models"):
            rng.shuffle(document[part])
        shuffled = trunkline.load(document)
        assert (
            trunkline.plan(shuffled, "insertion").served
            == trunkline.plan(problem, "insertion").served
        ), seed


def test_more_rounds_serve_no_fewer(make_extended):
    """The best plan is kept, so more rounds never cost a task."""
    for seed in range(40):
        problem = make_extended(seed)
        served = [trunkline.plan(problem, "insertion", rounds=n).served for n in (0, 3, 30, 300)]
        assert served == sorted(served), seed


def test_rounds_are_a_count(make_problem):
    """Fewer than none are refused."""
    with pytest.raises(InputError, match="rounds: at least 0, got -1"):
        trunkline.plan(make_problem(1), "insertion", rounds=-1)


@pytest.mark.parametrize("upload", READINGS)
def test_a_place_judged_good_is_good(make_extended, upload):
    """After every insertion and every removal a plan made anew from the batches is in time and
    ends when the sequence says."""
    for seed in range(60):
        problem = make_extended(seed)
        line = Line(problem, Reading(upload))
        rng = random.Random(seed)
        sequence = BatchSequence(line)
        tasks = [k for tasks in line.tasks for k in tasks]
        for _ in range(30):
            served = sequence.tasks
            k = rng.choice(tasks) if tasks else None
            if k in served:
                sequence.drop({k})
            elif k is not None:
                sequence.insert(k)
            anew = BatchSequence(line, sequence.groups)
            assert anew.groups == sequence.groups, seed
            assert anew.merit == pytest.approx(sequence.merit), seed


def test_the_exact_evictions_lose_nothing(make_extended):
    """Deciding by the integer programme what stays keeps every batch in time."""
    for seed in range(60):
        problem = make_extended(seed)
        line = Line(problem, Reading())
        found = improve(line, [greedy_groups(line)], rounds=20)
        served = found.served
        found.keep_best(10.0)
        plan = trunkline.plan(problem, "exhaustive")
        assert served <= found.served <= plan.served, seed
        batches = line.batches(found.groups, found.kept)
        assert sum(len(batch.tasks) for batch in batches) == found.served
        for batch in batches:
            due = min(problem.deadline_of(problem.tasks[line.position[t]]) for t in batch.tasks)
            assert batch.finish_s <= due * (1 + 1e-9), seed

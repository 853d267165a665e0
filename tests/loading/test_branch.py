"""Branch and bound against brute force."""

from __future__ import annotations

import time

import pytest

import trunkline
from trunkline.loading.branch import branch_and_bound
from trunkline.loading.late import LateJobs
from trunkline.loading.line import Line
from trunkline.loading.service import Reading

READINGS = ["sum", "max"]


@pytest.mark.parametrize("upload", READINGS)
def test_equals_brute_force(make_extended, upload):
    """It finds a plan that serves as many as brute force does, and proves it."""
    for seed in range(150):
        problem = make_extended(seed)
        best = trunkline.plan(problem, "exhaustive", upload=upload).served
        line = Line(problem, Reading(upload))
        found = branch_and_bound(line, -1)
        batches = line.batches(found.groups, found.kept)
        served = sum(len(batch.tasks) for batch in batches)
        assert (served, found.bound) == (best, best), seed


def test_nothing_better_than_the_best_is_found(make_extended):
    """Told the optimum it finds no plan and proves it; told one less it finds the optimum."""
    for seed in range(60):
        problem = make_extended(seed)
        best = trunkline.plan(problem, "exhaustive").served
        line = Line(problem, Reading())
        proof = branch_and_bound(line, best)
        assert (proof.groups, proof.bound) == ([], best), seed
        if best:
            found = branch_and_bound(line, best - 1)
            assert sum(len(members) for _, members in found.groups) == best, seed


def test_given_up_the_bound_still_holds(make_extended):
    """However soon the search stops, no plan serves more than it says."""
    loose = 0
    for seed in range(60):
        problem = make_extended(seed)
        best = trunkline.plan(problem, "exhaustive").served
        line = Line(problem, Reading())
        for states in (0, 1, 5):
            found = branch_and_bound(line, -1, max_states=states)
            assert found.bound >= best, seed
            loose += found.bound > best
    assert loose > 0


def test_many_tasks_of_one_model_end_in_time():
    """Two dozen tasks of one model, with two to the power of that many batches: given up soon, with
    a bound that holds, also while the batches of the first state are tried."""
    document = {
        "format": "trunkline/loading-problem/1",
        "deadline_s": 30.0,
        "bandwidth_hz": 1.0,
        "loading": [],
        "blocks": {},
        "models": [
            {
                "id": "m",
                "blocks": [],
                "seconds_per_batch": 1,
                "seconds_per_task": 0,
                "max_batch": 32,
            }
        ],
        "tasks": [
            {
                "id": f"u{k}",
                "model": "m",
                "upload_bits": 1 + k % 7,
                "bits_per_s_per_hz": 1,
                "arrival_s": 24 - k,
                "deadline_s": 26 + k % 5,
            }
            for k in range(24)
        ],
    }
    problem = trunkline.load(document)
    line = Line(problem, Reading())
    assert branch_and_bound(line, -1, until=time.perf_counter() - 1.0).bound >= 1
    found = branch_and_bound(line, -1)
    served = sum(len(members) for _, members in found.groups)
    assert 1 <= served <= found.bound
    assert trunkline.check(problem, trunkline.plan(problem)) == []


@pytest.mark.parametrize("upload", READINGS)
def test_late_jobs_bound_what_can_be_served(make_extended, upload):
    """From the start no plan serves more than the bound, which is often met."""
    met = 0
    for seed in range(150):
        problem = make_extended(seed, tasks=7)
        best = trunkline.plan(problem, "exhaustive", upload=upload).served
        line = Line(problem, Reading(upload))
        every = sum(1 << k for tasks in line.tasks for k in tasks)
        bound = LateJobs(line).most(every, line.resident, (0.0, 0.0, 0.0))
        assert bound >= best, seed
        met += bound == best
    assert met > 40

"""The relaxation to linear forests and its cuts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest

from trunkline.loading.forest import ForestRelaxation, violated_forests
from trunkline.loading.local_search import LocalSearch
from trunkline.loading.proof import Proof, rounded_path
from trunkline.timing import TimeLimit

FOREVER = TimeLimit(None)


def most(scattered) -> int:
    """The most tasks over all paths."""
    splits = [
        scattered.split(path)
        for length in range(len(scattered) + 1)
        for path in permutations(range(len(scattered)), length)
    ]
    return max(split.served for split in splits if split is not None)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("steps", ["ascending", "any"])
def test_the_bound_is_valid_and_the_proof_meets_it(make_scattered, directed, steps):
    """The relaxation is never below the optimum; branching on it ends at the optimum, whatever path
    it began with."""
    for seed in range(25):
        scattered = make_scattered(seed, 5, directed=directed, steps=steps)
        best = most(scattered)
        relaxed = ForestRelaxation(scattered).solve(-np.inf, FOREVER)
        assert relaxed.bound >= best - 1e-6, seed
        search = LocalSearch(scattered)  # has not run: the proof must find the plan itself
        proof = Proof(search, scattered.tasks)
        proof.relax(FOREVER)
        proof.branch(FOREVER)
        assert (search.best[1].served, proof.bound) == (best, best), seed


def test_shrinking_loses_no_better_plan(make_scattered):
    """What reduced costs drop is in no plan that serves as many as asked for."""
    for seed in range(25):
        scattered = make_scattered(seed, 5)
        best = most(scattered)
        relaxation = ForestRelaxation(scattered)
        relaxed = relaxation.solve(-np.inf, FOREVER)
        relaxation.shrink(relaxed, best - 1e-4)
        assert relaxation.solve(-np.inf, FOREVER).bound >= best - 1e-6, seed


def test_cuts_are_violated_and_hold_for_every_path():
    """A set that is returned has more edges than the fractional forest may have, and its row holds
    for every path through any of the models."""
    tail, head = np.triu_indices(5, 1)
    paths = [path for length in range(1, 6) for path in permutations(range(5), length)]
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        visited, joined = rng.uniform(0, 1, 5), rng.uniform(0, 0.6, tail.size)
        for members, root in violated_forests(tail, head, joined, visited):
            inside = members[tail] & members[head]
            others = members.copy()
            others[root] = False
            assert members[root]
            assert joined[inside].sum() > visited[others].sum()
            for path in paths:
                within = sum(members[i] and members[j] for i, j in pairwise(path))
                assert within <= sum(others[i] for i in path)
            found += 1
    assert found > 40


def test_a_cycle_is_found():
    """Three models fully visited and fully joined in a ring violate their forest row."""
    tail, head = np.array([0, 1, 0]), np.array([1, 2, 2])
    [(members, root)] = violated_forests(tail, head, np.ones(3), np.array([1.0, 1.0, 1.0, 0.5]))
    assert members.tolist() == [True, True, True, False]
    assert root in (0, 1, 2)


def test_out_of_time_the_bound_still_holds(make_scattered):
    """With no time left the relaxation's bound is valid, and the proof keeps the one it has."""
    for seed in range(10):
        scattered = make_scattered(seed, 6)
        best = most(scattered)
        assert ForestRelaxation(scattered).solve(-np.inf, TimeLimit(0.0)).bound >= best - 1e-6
        proof = Proof(LocalSearch(scattered), scattered.tasks)
        proof.relax(TimeLimit(0.0))
        proof.branch(TimeLimit(0.0))
        assert proof.bound == scattered.tasks


def test_rounding_follows_the_pieces():
    """Edges of greatest value are followed, two at a model at most and without a cycle; models
    visited less than half are left out, and pieces are put end to end."""
    scattered_edges = [(0, 1, 0.9), (1, 2, 0.8), (0, 2, 0.7), (3, 4, 0.6), (2, 3, 0.01)]

    class Solved:
        visited = np.arange(5)
        first_edge = 5
        tail = np.array([e[0] for e in scattered_edges])
        head = np.array([e[1] for e in scattered_edges])

    values = np.array([1.0, 1.0, 0.4, 0.9, 0.8, *(e[2] for e in scattered_edges)])
    # 0-1-2 (0-2 would close a cycle), 3-4; 2 is not visited
    assert rounded_path(Solved(), values) == [0, 1, 3, 4]


def test_whole_solutions_round_to_themselves(make_scattered):
    """Where everything can be served, the solution visits every model, and so does its path."""
    for seed in range(20):
        scattered = make_scattered(seed, 5)
        scattered = replace(scattered, limit_s=100 * scattered.limit_s)
        relaxation = ForestRelaxation(scattered)
        relaxed = relaxation.solve(-np.inf, FOREVER)
        path = rounded_path(relaxation, relaxed.values)
        assert sorted(path) == list(range(5))
        assert scattered.split(path).served == round(relaxed.bound) == scattered.tasks

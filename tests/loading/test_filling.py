"""Counting the tasks of a set of visited models by the price of their steps."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from trunkline.loading import filling
from trunkline.loading.filling import Filling, hull_steps


def counted(scattered, path: list[int]) -> float:
    """The value of a path."""
    fill = Filling(scattered)
    spent_s = scattered.load_s(path) + sum(scattered.tables[i][1] for i in path)
    return fill.value(fill.tally(path), len(path), spent_s)[0]


def test_whole_tasks_are_exact_where_steps_ascend(make_scattered):
    """The value's whole part is the exact split's count; late paths are negative."""
    for seed in range(20):
        scattered = make_scattered(seed, 5)
        for size in range(6):
            for path in combinations(range(5), size):
                split = scattered.split(path)
                value = counted(scattered, list(path))
                assert (int(value) if value >= 0 else None) == (split.served if split else None)


def test_never_too_low_where_steps_do_not_ascend(make_scattered):
    """The lower hull is quicker than the table, so at least as many tasks are counted."""
    for seed in range(20):
        scattered = make_scattered(seed, 5, steps="any")
        for path in combinations(range(5), 3):
            split = scattered.split(path)
            if split is not None:
                assert counted(scattered, list(path)) >= split.served - 1e-9


def test_few_levels_count_almost_the_same(make_scattered, monkeypatch):
    """With prices lumped together counts stay within the tasks of one level."""
    monkeypatch.setattr(filling, "MAX_LEVELS", 5)
    for seed in range(20):
        scattered = make_scattered(seed, 5)
        for path in combinations(range(5), 3):
            split = scattered.split(path)
            value = counted(scattered, list(path))
            assert (value >= 0) == (split is not None)
            if split is not None:
                assert abs(value - split.served) <= 1 + scattered.tasks / 5


def test_hull_steps_by_hand():
    """The first step stays; the others become those of the lower hull."""
    assert hull_steps(np.array([0.0, 5, 6, 8])).tolist() == [5, 1, 2]
    # 5, then 9 and 10: the straight line from 5 to 10 is below 9
    assert hull_steps(np.array([0.0, 5, 9, 10])).tolist() == [5, 2.5, 2.5]
    assert hull_steps(np.array([0.0])).tolist() == []


@pytest.mark.parametrize("seed", range(10))
def test_hulls_are_convex_and_below(seed):
    """Steps ascend after the first, and the hull meets the table at its ends, never above it."""
    table = np.concatenate(([0.0], np.random.default_rng(seed).uniform(0, 1, 12).cumsum()))
    steps = hull_steps(table)
    hull = np.concatenate(([0.0], steps.cumsum()))
    assert (np.diff(steps[1:]) >= -1e-12).all()
    assert (hull <= table + 1e-12).all()
    assert hull[[1, -1]] == pytest.approx(table[[1, -1]])

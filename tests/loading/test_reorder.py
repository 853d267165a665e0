"""2-opt and Or-opt on paths."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline.loading.reorder import reorder


def saved(path: list[int], saved_s: np.ndarray) -> float:
    """What a path saves."""
    return float(saved_s[path[:-1], path[1:]].sum())


def neighbours(path: list[int]):
    """Every path after one reversal of a stretch, or after one to three neighbours moved, turned
    round or not."""
    m = len(path)
    for a in range(m):
        for b in range(a + 1, m):
            yield path[:a] + path[a : b + 1][::-1] + path[b + 1 :]
    for run in (1, 2, 3):
        for a in range(m - run + 1):
            left, moved = path[:a] + path[a + run :], path[a : a + run]
            for gap in range(len(left) + 1):
                yield left[:gap] + moved + left[gap:]
                yield left[:gap] + moved[::-1] + left[gap:]


@pytest.mark.parametrize("symmetric", [True, False])
def test_nothing_in_the_neighbourhood_is_better(symmetric):
    """The result has the same models, gains what it says, and no single move improves it."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 9))
        saved_s = np.zeros((n + 1, n + 1))
        saved_s[:n, :n] = rng.integers(0, 20, (n, n))
        if symmetric:
            saved_s = np.maximum(saved_s, saved_s.T)
        np.fill_diagonal(saved_s, 0.0)
        path = rng.permutation(n)[: int(rng.integers(1, n + 1))].tolist()
        better, gained = reorder(path, saved_s)
        assert sorted(better) == sorted(path)
        assert saved(better, saved_s) == pytest.approx(saved(path, saved_s) + gained)
        # a two-model path turned round is a move of one model, which `neighbours` has too
        assert all(saved(p, saved_s) <= saved(better, saved_s) + 1e-9 for p in neighbours(better))


@pytest.mark.parametrize("path", [[], [2]])
def test_nothing_to_reorder(path):
    """Paths of no or one model stay."""
    assert reorder(path, np.zeros((4, 4))) == (path, 0.0)

"""Judging: the best expert in hindsight, and the exponent of growth."""

from itertools import product

import numpy as np
import pytest

from trunkline.pulling.online.context import Cells
from trunkline.pulling.online.regret import best_in_hindsight, checkpoints, growth


@pytest.mark.parametrize("seed", range(5))
def test_best_in_hindsight(seed: int) -> None:
    """It is the least total loss among all experts, enumerated, at every checkpoint."""
    generator = np.random.default_rng(seed)
    cells, arms, rounds = Cells(3, 2), 2, 30
    levels = generator.integers(2, size=(rounds, 3))
    losses = generator.random((rounds, arms))
    index = cells.cells_of(levels)
    found = best_in_hindsight(cells, levels, losses, [1, 10, 30])
    for mark, least in zip([1, 10, 30], found, strict=True):
        totals = [
            sum(losses[t, policy[index[t, subset]]] for t in range(mark))
            for subset in range(3)
            for policy in product(range(arms), repeat=4)
        ]
        assert least == pytest.approx(min(totals))


def test_growth() -> None:
    """c t^p grows with the exponent p; a regret that is not positive has none."""
    marks = checkpoints(10_000)
    assert growth(marks, 3.0 * np.array(marks) ** 0.5) == pytest.approx(0.5)
    assert np.isnan(growth(marks, -np.ones(len(marks))))


def test_checkpoints() -> None:
    """They increase from 1 to T, however few rounds there are."""
    assert checkpoints(1) == [1]
    assert checkpoints(3) == [1, 2, 3]
    marks = checkpoints(5000)
    assert marks == sorted(set(marks))
    assert (marks[0], marks[-1]) == (1, 5000)

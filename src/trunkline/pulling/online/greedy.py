"""Baselines that count: epsilon-greedy over (subset, cell, arm), and UCB1 without context."""

from __future__ import annotations

import math

import numpy as np

from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.learner import Round


class EpsilonGreedy:
    """Mean losses per (subset, cell, arm). With probability epsilon a random subset and a random
    arm; otherwise the subset that looks best, and the arm that looks best in its cell.

    A subset is worth sum over z of (share of cell z) * min over a of the mean loss of (z, a). What
    was never tried counts as loss 0, so it is tried. With `cells.read` = 0 it uses no context.

    Args:
        cells: the subsets and their cells.
        arms: K.
        epsilon: how often it explores.
        generator: of its draws.
    """

    def __init__(
        self, cells: Cells, arms: int, generator: np.random.Generator, *, epsilon: float
    ) -> None:
        self.reads = cells.read
        self._cells = cells
        self._arms = arms
        self._epsilon = epsilon
        self._generator = generator
        self._sums: Floats = np.zeros((cells.count, cells.size, arms))
        self._counts: Floats = np.zeros((cells.count, cells.size, arms))
        self._worth: Floats = np.zeros(cells.count)
        self._choice = (0, 0, 0)

    def choose(self, seen: Round) -> int:
        """Explore or exploit."""
        explores = self._generator.random() < self._epsilon
        subset = (
            int(self._generator.integers(self._cells.count))
            if explores
            else int(np.argmin(self._worth))
        )
        cell = self._cells.cell(seen.context, subset)
        arm = (
            int(self._generator.integers(self._arms))
            if explores
            else int(np.argmin(self._means(subset)[cell]))
        )
        self._choice = (subset, cell, arm)
        return arm

    def learn(self, loss: float, demand: float | None) -> None:
        """Count the loss."""
        subset = self._choice[0]
        self._sums[self._choice] += loss
        self._counts[self._choice] += 1.0
        in_cells = self._counts[subset].sum(axis=1)
        least = self._means(subset).min(axis=1)
        self._worth[subset] = float(in_cells @ least) / float(in_cells.sum())

    def _means(self, subset: int) -> Floats:
        found: Floats = self._sums[subset] / np.maximum(self._counts[subset], 1.0)
        return found


class UCB1:
    """UCB1 (Auer, Cesa-Bianchi, Fischer 2002) for losses, without context: plays each arm once,
    then argmin over a of mean_a - width sqrt(2 ln t/n_a).

    Args:
        arms: K.
        width: 1 in the paper.
    """

    reads = 0

    def __init__(self, arms: int, *, width: float = 1.0) -> None:
        self._width = width
        self._sums: Floats = np.zeros(arms)
        self._counts: Floats = np.zeros(arms)
        self._arm = 0

    def choose(self, seen: Round) -> int:
        """The arm of the least lower bound."""
        if seen.number <= len(self._counts):
            self._arm = seen.number - 1
            return self._arm
        widths = np.sqrt(2.0 * math.log(seen.number) / self._counts)
        self._arm = int(np.argmin(self._sums / self._counts - self._width * widths))
        return self._arm

    def learn(self, loss: float, demand: float | None) -> None:
        """Count the loss."""
        self._sums[self._arm] += loss
        self._counts[self._arm] += 1.0

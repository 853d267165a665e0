"""EXP4-RC: exponential weights over (feature subset, cell -> arm) with restricted context.

Derived for this project from EXP4 (Auer, Cesa-Bianchi, Freund, Schapire 2002). An expert e = (S, f)
reads the subset S and plays the arm f(z) in its cell z; there are N = m K^Q of them. A round:

1. draw S with probability q(S), the weight of all experts of S; read its features, cell z;
2. draw the arm a with probability p(a), the share of S's experts that have f(z) = a;
3. estimate: add loss/(q(S) p(a)) to L(S, z, a). Only experts (S, f) with f(z) = a pay it.

The weight of an expert is exp(-eta sum_z L(S, z, f(z))), a product over the cells, so

    q(S) ~ prod_z sum_a exp(-eta L(S, z, a)),      p(a | S, z) ~ exp(-eta L(S, z, a)):

a round costs O(m Q K), not m K^Q. The regret against the best expert is at most
sqrt(2 T m K (ln m + Q ln K)) in expectation: docs/pulling-online.md has the proof. No exploration
is mixed in; the proof needs none.
"""

from __future__ import annotations

import math

import numpy as np

from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.learner import Round, draw


class Exp4RC:
    """The learner.

    Args:
        cells: the subsets and their cells.
        arms: K.
        horizon: T, if it is known; otherwise the rate falls with the round, which costs a factor
            sqrt(2) in the bound.
        factor: c, what the proven rate is multiplied by; the bound grows by (c + 1/c)/2.
        generator: of its draws.
    """

    def __init__(
        self,
        cells: Cells,
        arms: int,
        generator: np.random.Generator,
        *,
        horizon: int | None = None,
        factor: float = 1.0,
    ) -> None:
        self.reads = cells.read
        self.estimates: Floats = np.zeros((cells.count, cells.size, arms))
        self._cells = cells
        self._generator = generator
        self._horizon = horizon
        self._factor = factor
        self._choice = (0, 0, 0, 1.0)

    def rate(self, number: int) -> float:
        """eta in round t: c sqrt(2 ln N/(T m K)) if T is known, else c sqrt(ln N/(t m K))."""
        count, size, arms = self.estimates.shape
        logarithm = math.log(count) + size * math.log(arms)
        rounds = number if self._horizon is None else self._horizon / 2
        return self._factor * math.sqrt(logarithm / (rounds * count * arms))

    def distribution(self, number: int) -> tuple[Floats, Floats]:
        """q(S), shape (m,), and p(a | S, z), shape (m, Q, K), in round t."""
        scores = -self.rate(number) * self.estimates
        top = scores.max(axis=2, keepdims=True)
        weights = np.exp(scores - top)
        sums = weights.sum(axis=2, keepdims=True)
        subset = (top + np.log(sums)).sum(axis=(1, 2))
        subset = np.exp(subset - subset.max())
        return subset / subset.sum(), weights / sums

    def choose(self, seen: Round) -> int:
        """Draw a subset, read it, draw an arm."""
        subsets, arms = self.distribution(seen.number)
        subset = draw(subsets, self._generator)
        cell = self._cells.cell(seen.context, subset)
        arm = draw(arms[subset, cell], self._generator)
        self._choice = (subset, cell, arm, float(subsets[subset] * arms[subset, cell, arm]))
        return arm

    def learn(self, loss: float, demand: float | None) -> None:
        """Add the estimate of the loss."""
        subset, cell, arm, probability = self._choice
        self.estimates[subset, cell, arm] += loss / probability

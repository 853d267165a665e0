"""An environment in which the assumptions of EXP4-RC's bound hold exactly.

Features are independent and uniform. The losses depend on one subset of d features only: each of
its cells has one good arm. A loss is 1 with probability `good` for the good arm and `other` for
every other arm, else 0. Nothing that a learner does changes what comes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.pulling.online.context import Cells, Context, Floats, Ints
from trunkline.pulling.online.environment import Outcome
from trunkline.pulling.online.learner import Facts, Round


class Stationary:
    """The environment.

    Args:
        cells: the features.
        arms: K, at least 2.
        rounds: T.
        generator: of the relevant subset, the good arms, the features and the losses.
        order: the features by importance; the losses depend on the first d. Drawn if not given.
        good, other: mean losses.
    """

    def __init__(
        self,
        cells: Cells,
        arms: int,
        rounds: int,
        generator: np.random.Generator,
        *,
        order: Sequence[int] | None = None,
        good: float = 0.2,
        other: float = 0.6,
    ) -> None:
        drawn = generator.permutation(cells.features).tolist() if order is None else order
        relevant = cells.subsets.index(tuple(sorted(int(f) for f in drawn[: cells.read])))
        self.facts = Facts(cells, arms, rounds, relevant)
        self.levels: Ints = generator.integers(cells.levels, size=(rounds, cells.features))
        best = _good_arms(cells.size, arms, generator)
        cell = cells.cells_of(self.levels)[:, relevant]
        self._means: Floats = np.full((rounds, arms), other)
        self._means[np.arange(rounds), best[cell]] = good
        self._losses: Floats = (generator.random((rounds, arms)) < self._means).astype(np.float64)
        self._at = -1

    def round(self, number: int, reads: int) -> Round:
        """The next context."""
        self._at = number - 1
        return Round(number, Context(self.levels[self._at], reads))

    def losses(self) -> Floats:
        """The losses drawn for this round."""
        found: Floats = self._losses[self._at]
        return found

    def known_losses(self) -> Floats:
        """Their means."""
        found: Floats = self._means[self._at]
        return found

    def serve(self, arm: int) -> Outcome:
        """The arm's loss."""
        return Outcome(float(self._losses[self._at, arm]))


def _good_arms(size: int, arms: int, generator: np.random.Generator) -> Ints:
    """The good arm of each cell, as many different ones as there can be."""
    rounds = -(-size // arms)
    dealt = np.concatenate([generator.permutation(arms) for _ in range(rounds)])
    return dealt[:size]

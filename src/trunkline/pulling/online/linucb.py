"""LinUCB on a fixed feature subset (Li, Chu, Langford, Schapire 2010, disjoint arms)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.learner import Round


class LinUCB:
    """The learner: per arm a ridge regression of the loss on x = (1, the features read); plays

        argmin over a of  theta_a . x - alpha sqrt(x^T A_a^-1 x),    A_a = I + sum of x x^T.

    Args:
        cells: the features.
        arms: K.
        subset: the features that it reads in every round.
        alpha: how much it prefers what it knows little of.
    """

    def __init__(
        self, cells: Cells, arms: int, subset: Sequence[int], *, alpha: float = 0.3
    ) -> None:
        self.reads = len(subset)
        self._cells = cells
        self._subset = tuple(subset)
        self._alpha = alpha
        size = len(subset) + 1
        self._inverse: Floats = np.repeat(np.eye(size)[None], arms, axis=0)
        self._moment: Floats = np.zeros((arms, size))
        self._theta: Floats = np.zeros((arms, size))
        self._values: Floats = np.zeros(size)
        self._arm = 0

    def scores(self, values: Floats) -> Floats:
        """The lower confidence bound of each arm's loss at x, shape (K,)."""
        width = np.sqrt((self._inverse @ values) @ values)
        found: Floats = self._theta @ values - self._alpha * width
        return found

    def choose(self, seen: Round) -> int:
        """The arm of the least lower bound."""
        self._values = self._cells.values(seen.context, self._subset)
        self._arm = int(np.argmin(self.scores(self._values)))
        return self._arm

    def learn(self, loss: float, demand: float | None) -> None:
        """One step of the arm's regression (Sherman and Morrison's formula)."""
        arm, values = self._arm, self._values
        towards = self._inverse[arm] @ values
        self._inverse[arm] -= np.outer(towards, towards) / (1.0 + values @ towards)
        self._moment[arm] += loss * values
        self._theta[arm] = self._inverse[arm] @ self._moment[arm]

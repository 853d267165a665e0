"""TSRC: Thompson sampling with restricted context.

After Bouneffouf, Rish, Cecchi, Feraud, "Context Attentive Bandits" (IJCAI 2017), for losses instead
of rewards. A Beta variable per feature says how useful reading it was; a round reads the d features
with the greatest draws. Each arm has a ridge regression of its reward on the features read; its
coefficients are drawn from their posterior and the arm with the greatest draw is played.

Features that were not read never enter: neither as a guess nor as a zero of their own, since the
regression of a round is the sub-matrix of the features read (and the intercept). How rewards in
[0, 1] update the Beta variables (by their value) is derived.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.learner import Round


class TSRC:
    """The learner.

    Args:
        cells: the features and how many may be read.
        arms: K.
        spread: v, the standard deviation that posterior draws are scaled by.
        ridge: the ridge's weight.
        generator: of its draws.
    """

    def __init__(
        self,
        cells: Cells,
        arms: int,
        generator: np.random.Generator,
        *,
        spread: float = 0.1,
        ridge: float = 1.0,
    ) -> None:
        self.reads = cells.read
        self._cells = cells
        self._generator = generator
        self._spread = spread
        size = cells.features + 1
        self._precision: Floats = np.repeat(ridge * np.eye(size)[None], arms, axis=0)
        self._moment: Floats = np.zeros((arms, size))
        self._beta: Floats = np.ones((2, cells.features))
        self._index = np.zeros(0, dtype=np.int64)
        self._values = np.zeros(0)
        self._arm = 0

    def choose(self, seen: Round) -> int:
        """Draw the features to read, then the arms' coefficients."""
        use = self._generator.beta(self._beta[0], self._beta[1])
        features = np.sort(np.argsort(-use, kind="stable")[: self.reads])
        self._values = self._cells.values(seen.context, [int(f) for f in features])
        self._index = np.concatenate([[0], features + 1])
        precision = self._precision[:, self._index[:, None], self._index]
        covariance = np.linalg.inv(precision)
        mean = np.einsum("kij,kj->ki", covariance, self._moment[:, self._index])
        noise = self._generator.standard_normal(mean.shape)
        drawn = mean + self._spread * np.einsum("kij,kj->ki", np.linalg.cholesky(covariance), noise)
        self._arm = int(np.argmax(drawn @ self._values))
        return self._arm

    def learn(self, loss: float, demand: float | None) -> None:
        """Update the features read and the arm played, with the reward 1 - loss."""
        reward = 1.0 - loss
        features = self._index[1:] - 1
        self._beta[0, features] += reward
        self._beta[1, features] += loss
        rows = self._index
        self._precision[self._arm][np.ix_(rows, rows)] += np.outer(self._values, self._values)
        self._moment[self._arm, rows] += reward * self._values

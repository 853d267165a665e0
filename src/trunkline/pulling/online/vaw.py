"""Demand regression: predict the demand, then take the arm that is cheapest at it.

For when only the demand is unknown: what an arm costs at a given demand is known. The predictor is
the Vovk-Azoury-Warmuth forecaster (Vovk 2001; Azoury, Warmuth 2001). For |y| <= Y, ||x|| <= X and
any u,

    sum (y^ - y)^2 <= sum (u . x - y)^2 + lambda ||u||^2 + p Y^2 ln(1 + T X^2/(lambda p)),

p the dimension of x. So if E[demand] = u . x and losses are affine in the demand with slopes at
most L, the expected regret is at most 2 L sqrt(T (lambda ||u||^2 + p Y^2 ln(1 + T X^2/(lambda p))))
(derived: docs/pulling-online.md), whatever the number of arms.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.learner import Round


class Forecaster:
    """The forecaster: y^_t = b_(t-1) . A_t^-1 x_t, A_t = lambda I + sum up to t of x x^T (the
    present x included), b_t = sum up to t of y x.

    Args:
        size: p, the dimension of x.
        ridge: lambda.
    """

    def __init__(self, size: int, ridge: float = 1.0) -> None:
        self._inverse: Floats = np.eye(size) / ridge
        self._moment: Floats = np.zeros(size)
        self._squares = 0.0
        self._count = 0

    @property
    def residual(self) -> float:
        """The mean squared error of the present fit on what has been seen, the ridge's penalty
        included: (sum of y^2 - b . A^-1 b)/t; 0 before the first outcome."""
        fitted = float(self._moment @ self._inverse @ self._moment)
        return (self._squares - fitted) / max(self._count, 1)

    def predict(self, values: Floats) -> float:
        """The forecast at x; nothing is learnt."""
        towards = self._inverse @ values
        shrink = 1.0 + float(values @ towards)
        return float(self._moment @ towards) / shrink

    def learn(self, values: Floats, outcome: float) -> None:
        """Take in the outcome at x."""
        towards = self._inverse @ values
        self._inverse -= np.outer(towards, towards) / (1.0 + float(values @ towards))
        self._moment += outcome * values
        self._squares += outcome**2
        self._count += 1


class VAW:
    """The learner: a forecaster per feature subset.

    It reads the subset that the demand is fitted best by so far (`Forecaster.residual`). Rejecting
    tells nothing of the demand; so with probability t^(-1/2) it explores: a subset drawn at random,
    and an arm that serves.

    Args:
        cells: the subsets.
        reject: the arm that turns a request away, if there is one.
        ridge: lambda.
        generator: of its draws.
    """

    def __init__(
        self,
        cells: Cells,
        generator: np.random.Generator,
        *,
        reject: int | None = None,
        ridge: float = 1.0,
    ) -> None:
        self.reads = cells.read
        self._cells = cells
        self._reject = reject
        self._generator = generator
        self._forecasters = [Forecaster(cells.read + 1, ridge) for _ in cells.subsets]
        self._residuals: Floats = np.zeros(cells.count)
        self._subset = 0
        self._values: Floats = np.zeros(cells.read + 1)

    def choose(self, seen: Round) -> int:
        """The cheapest arm at the predicted demand."""
        if seen.losses_at is None:
            raise ValueError("demand regression needs an environment with demand")
        explores = self._generator.random() < seen.number**-0.5
        if explores:
            self._subset = int(self._generator.integers(self._cells.count))
        else:
            self._subset = int(np.argmin(self._residuals))
        features = self._cells.subsets[self._subset]
        self._values = self._cells.values(seen.context, features)
        forecast = self._forecasters[self._subset].predict(self._values)
        losses = seen.losses_at(max(forecast, 0.0))
        if explores and self._reject is not None:
            losses = losses.copy()
            losses[self._reject] = np.inf
        return int(np.argmin(losses))

    def learn(self, loss: float, demand: float | None) -> None:
        """Take in the demand, if the request was served."""
        if demand is None:
            return
        forecaster = self._forecasters[self._subset]
        forecaster.learn(self._values, demand)
        self._residuals[self._subset] = forecaster.residual

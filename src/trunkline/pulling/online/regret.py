"""Regret against the best expert in hindsight, the bounds on it, and how fast it grows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trunkline.pulling.online.context import Cells, Floats, Ints


def best_in_hindsight(
    cells: Cells, levels: Ints, losses: Floats, checkpoints: Sequence[int]
) -> Floats:
    """The least total loss of an expert (subset, cell -> arm) in the first t rounds, for each t.

        min over S of  sum over z of  min over a of  sum over s <= t in cell z of loss(s, a)

    Args:
        levels: the features of every round, shape (T, n).
        losses: of every arm in every round, shape (T, K).
        checkpoints: the rounds t, increasing.

    Returns:
        Shape (checkpoints,).
    """
    index = cells.cells_of(levels)
    arms = losses.shape[1]
    totals = np.zeros((cells.count, cells.size, arms))
    found, start = [], 0
    for stop in checkpoints:
        for subset in range(cells.count):
            np.add.at(totals[subset], index[start:stop, subset], losses[start:stop])
        found.append(float(totals.min(axis=2).sum(axis=1).min()))
        start = stop
    return np.array(found)


def regret_bound(
    cells: Cells, arms: int, rounds: int, *, anytime: bool = False, factor: float = 1.0
) -> float:
    """EXP4-RC's bound on its expected regret after T rounds (derived: docs/pulling-online.md).

    Tuned for T: sqrt(2 T m K (ln m + Q ln K)); anytime: sqrt(2) times that. A rate of c times the
    proven one: (c + 1/c)/2 times that.
    """
    logarithm = math.log(cells.count) + cells.size * math.log(arms)
    tuned = math.sqrt(2.0 * rounds * cells.count * arms * logarithm)
    return tuned * (math.sqrt(2.0) if anytime else 1.0) * (factor + 1.0 / factor) / 2.0


def regret_bound_before(
    cells: Cells, arms: int, rounds: int, horizon: int, factor: float = 1.0
) -> float:
    """The bound after t <= T rounds of a learner that is tuned for T: ln N/eta + eta t m K/2."""
    logarithm = math.log(cells.count) + cells.size * math.log(arms)
    rate = factor * math.sqrt(2.0 * logarithm / (horizon * cells.count * arms))
    return logarithm / rate + rate * rounds * cells.count * arms / 2.0


def forecast_bound(
    rounds: int, size: int, largest: float, norm: float, ridge: float, comparator: float
) -> float:
    """The Vovk-Azoury-Warmuth forecaster's excess squared error over u:
    lambda ||u||^2 + p Y^2 ln(1 + T X^2/(lambda p)).

    Args:
        size: p.
        largest: Y.
        norm: X.
        ridge: lambda.
        comparator: ||u||.
    """
    growth = math.log(1.0 + rounds * norm**2 / (ridge * size))
    return ridge * comparator**2 + size * largest**2 * growth


def growth(rounds: Sequence[int], regret: Floats, decades: float = 1.0) -> float:
    """The exponent with which regret grows over the last decade of rounds: the slope of the least
    squares line through (ln t, ln regret), t from T/10 to T. NaN if a regret is not positive."""
    times = np.asarray(rounds, dtype=np.float64)
    last = times >= times[-1] / 10.0**decades
    if last.sum() < 2 or np.any(regret[last] <= 0.0):
        return math.nan
    return float(np.polyfit(np.log(times[last]), np.log(regret[last]), 1)[0])


def checkpoints(rounds: int, count: int = 40) -> list[int]:
    """Rounds at which a curve is drawn: about `count`, evenly spaced on a log scale, T the last."""
    return sorted({*np.geomspace(1, rounds, count).round().astype(int).tolist(), rounds})

"""How many tasks a set of visited models serves in a given time, quickly and almost exactly.

Beyond a model's first task, each further one costs the step of its service table. If the steps
ascend, the most tasks in a given time are those of the cheapest steps of all models together. Steps
that do not ascend (a new batch begins) are replaced by those of the table's lower convex hull, so
the count may be slightly too high; `Scattered.split` is exact.

Steps are sorted by price, and per model it is kept how many of its steps are among the l cheapest
and what they cost. For a set of models these add up, and a binary search finds the last l in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.scattered import Scattered
from trunkline.loading.service import Table

MAX_LEVELS = 1000
"""At most so many prices are told apart."""

Tally = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps among the l cheapest, and their seconds, for l = 0.., shape (levels,) each."""


class Filling:
    """The steps of all models by price.

    Attributes:
        start_s: seconds of a visit with one task if the model is loaded whole, shape (n,).
        steps: steps of each model among the l cheapest, shape (n, levels).
        seconds: what these cost, shape (n, levels).
        price: seconds of the next step after the l cheapest, shape (levels,); beyond the last one,
            much.
        of_rest: the tally of the models that are not visited along the path.
        exact: whether all steps ascend (and few enough prices differ), so that counts are exact.
    """

    def __init__(self, scattered: Scattered) -> None:
        hulls = [hull_steps(table) for table in scattered.tables]
        rest = hull_steps(np.concatenate(([0.0], scattered.rest)))[1:]
        self.start_s = scattered.whole_s + np.array([hull[0] for hull in hulls])
        further = [hull[1:] for hull in hulls] + [rest]
        owner = np.repeat(np.arange(len(further)), [steps.size for steps in further])
        prices = np.concatenate(further)
        order = np.argsort(prices, kind="stable")
        levels = min(prices.size, MAX_LEVELS)
        level = np.empty(prices.size, dtype=np.int64)
        level[order] = np.arange(prices.size) * levels // max(prices.size, 1)
        counts = np.zeros((len(further), levels + 1))
        seconds = np.zeros_like(counts)
        np.add.at(counts, (owner, level + 1), 1.0)
        np.add.at(seconds, (owner, level + 1), prices)
        counts, seconds = counts.cumsum(axis=1), seconds.cumsum(axis=1)
        dear = 4.0 * float(prices.max(initial=0.0)) + 1e-9 * scattered.limit_s + 1e-300
        self.price = np.full(levels + 1, dear)
        self.price[level[order[::-1]]] = prices[order[::-1]]
        self.steps, self.of_rest = counts[:-1], (counts[-1], seconds[-1])
        self.seconds = seconds[:-1]
        self._limit_s = scattered.limit_s
        tables = (*(table[1:] for table in scattered.tables), scattered.rest)
        self.exact = prices.size <= MAX_LEVELS and all(ascends(np.diff(one)) for one in tables)

    def tally(self, path: list[int]) -> Tally:
        """The tally of the models on a path and the rest."""
        return (
            self.steps[path].sum(axis=0) + self.of_rest[0],
            self.seconds[path].sum(axis=0) + self.of_rest[1],
        )

    def value(self, tally: Tally, visits: int, spent_s: float) -> tuple[float, int]:
        """Tasks served, plus the share of the next one's price that is left, and the level reached.

        Args:
            visits: visits with a task each that `spent_s` pays for.
            spent_s: seconds of the loads and the first tasks; where they exceed the limit, the
                value is negative, by the excess in the price of the last level.
        """
        steps, seconds = tally
        left_s = self._limit_s - spent_s
        last = seconds.size - 1
        if left_s < 0:
            return left_s / float(self.price[last]), last
        level = int(seconds.searchsorted(left_s, side="right")) - 1
        left_s -= float(seconds[level])
        if level == last:
            partial = min(left_s / float(self.price[last]), 0.999)
        else:
            more_s = float(seconds[level + 1] - seconds[level])
            partial = left_s / more_s * float(steps[level + 1] - steps[level])
        return visits + float(steps[level]) + partial, level

    def values(
        self, tallies: Tally, visits: int, spent_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`value` of several paths at once, less the share of the next task; -inf where late.

        Args:
            tallies: of each path, shape (paths, levels).
            visits: of each path.
            spent_s: by each path, shape (paths,).
        """
        steps, seconds = tallies
        left_s = self._limit_s - spent_s
        level = np.maximum((seconds <= left_s[:, None]).sum(axis=1) - 1, 0)
        served = visits + steps[np.arange(level.size), level]
        return np.where(left_s >= 0, served, -np.inf)


def ascends(steps: NDArray[np.float64]) -> bool:
    """Whether no step is cheaper than the one before."""
    return bool((steps[1:] >= steps[:-1]).all())


def hull_steps(table: Table) -> NDArray[np.float64]:
    """Steps of a table's lower convex hull from its second entry on, after the step to that.

    A visit serves one task at least, so the first step stays as it is, and the others ascend.
    """
    steps = np.diff(table)
    if ascends(steps[1:]):
        return steps
    corners = [1]
    for k in range(2, table.size):
        while len(corners) > 1:
            i, j = corners[-2], corners[-1]
            if (table[j] - table[i]) * (k - j) < (table[k] - table[j]) * (j - i):
                break
            corners.pop()
        corners.append(k)
    hull = np.interp(np.arange(1, table.size), corners, table[corners])
    return np.concatenate((steps[:1], np.diff(hull)))

"""Branch and cut: how many tasks a path through scattered models serves at most.

The relaxation (`forest`) is solved, and where it leaves open whether one more task than the best
plan fits, a column that is not whole is branched on: a visit first, then an edge, then a step. The
node of the greatest bound is next. Its solution, rounded to a path, is a start for the local
search, so that better plans are found on the way.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.forest import ForestRelaxation
from trunkline.loading.local_search import LocalSearch
from trunkline.loading.timing import TimeLimit

TOLERANCE = 1e-4
"""In tasks: bounds this close below a whole number count as that number. The programme's own
tolerances are 1e-7 on columns between 0 and 1, a thousand or so."""

WHOLE = 1e-5
"""A value this close to 0 or 1 is whole."""

MAX_EDGES = 40_000
"""Programmes with more edges are not tried: one solution would take longer than a user waits."""

_Fixed = tuple[tuple[int, float], ...]


class Proof:
    """A bound on the tasks served, and better paths on the way.

    Args:
        search: a local search that has run; it is asked to improve paths.

    Attributes:
        bound: no plan serves more tasks than this.
    """

    def __init__(self, search: LocalSearch, bound: int) -> None:
        self._search = search
        self.bound = bound
        self._served = search.best[1].served
        self._open: list[tuple[float, int, _Fixed]] = []
        self._fixed: dict[int, float] = {}

    @property
    def _cutoff(self) -> float:
        """Bounds below this leave no room for one more task."""
        return self._served + 1 - TOLERANCE

    def run(self, limit: TimeLimit) -> None:
        """Tighten the bound until it is met or the time is up."""
        n = len(self._search.scattered)
        if self._served >= self.bound or n * (n - 1) // 2 > MAX_EDGES or limit.is_up:
            return
        self._relaxation = ForestRelaxation(self._search.scattered)
        root = self._relaxation.solve(self._cutoff, limit)
        if root.values is not None:
            self._round(root.values)
            self._relaxation.shrink(root, self._cutoff)
        self._open = [(-root.bound, 0, ())]
        unsettled = -math.inf
        number = 0
        while self._open and -self._open[0][0] >= self._cutoff and not limit.is_up:
            _, _, fixed = heapq.heappop(self._open)
            self._go_to(fixed)
            node = self._relaxation.solve(self._cutoff, limit)
            if node.values is None:
                if node.bound >= self._cutoff:  # out of time
                    heapq.heappush(self._open, (-node.bound, -1, fixed))
                continue
            if number < 20 or number % 20 == 0:
                self._round(node.values)
            column = self._branching_column(node.values)
            if column is None:
                self._round(node.values)
                unsettled = max(unsettled, node.bound)
                continue
            for value in (1.0, 0.0):
                number += 1
                heapq.heappush(self._open, (-node.bound, number, (*fixed, (column, value))))
        best = max([unsettled, *(-one[0] for one in self._open)])
        found = math.floor(best + TOLERANCE) if best > -math.inf else 0
        self.bound = min(self.bound, max(self._served, found))

    def _go_to(self, fixed: _Fixed) -> None:
        """Fix the columns of a node, and free those of the last one."""
        wanted = dict(fixed)
        for column in [c for c in self._fixed if c not in wanted]:
            self._relaxation.free(column)
            del self._fixed[column]
        for column, value in wanted.items():
            if self._fixed.get(column) != value:
                self._relaxation.fix(column, value)
                self._fixed[column] = value

    def _branching_column(self, values: NDArray[np.float64]) -> int | None:
        """The column that is least whole: among visits, else edges, else steps; None if none is."""
        relaxation = self._relaxation
        edges = np.arange(relaxation.first_edge, values.size)
        for columns in (relaxation.visited, edges, np.arange(relaxation.first_edge)):
            if columns.size:
                off = np.minimum(values[columns], 1.0 - values[columns])
                if off.max() > WHOLE:
                    return int(columns[off.argmax()])
        return None

    def _round(self, values: NDArray[np.float64]) -> None:
        """Improve the path that a solution suggests."""
        relaxation = self._relaxation
        joined = values[relaxation.first_edge :]
        neighbours: list[list[int]] = [[] for _ in relaxation.visited]
        piece = list(range(len(neighbours)))
        for edge in np.argsort(-joined, kind="stable").tolist():
            i, j = int(relaxation.tail[edge]), int(relaxation.head[edge])
            if joined[edge] < 0.05:
                break
            if len(neighbours[i]) < 2 and len(neighbours[j]) < 2 and piece[i] != piece[j]:
                neighbours[i].append(j)
                neighbours[j].append(i)
                old = piece[j]
                piece = [piece[i] if one == old else one for one in piece]
        taken = values[relaxation.visited] > 0.5
        path: list[int] = []
        for start in np.flatnonzero(taken).tolist():
            if start in path or len(neighbours[start]) > 1:
                continue
            previous, at = -1, start
            while True:
                if taken[at]:
                    path.append(at)
                onward = [i for i in neighbours[at] if i != previous]
                if not onward:
                    break
                previous, at = at, onward[0]
        self._search.offer(path)
        self._search.improve(path)
        self._served = self._search.best[1].served

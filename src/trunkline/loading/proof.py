"""Branch and cut: how many tasks a path through scattered models serves at most.

The relaxation (`forest`) is solved and cut until nothing is violated; its solutions, rounded to
paths, are starts for the local search. Where it leaves open whether one more task than the best
plan fits, a column that is not whole is branched on: a visit first, then an edge, then a step. The
node of the greatest bound is next.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.forest import ForestRelaxation, Relaxed
from trunkline.loading.local_search import LocalSearch
from trunkline.loading.scattered import Split
from trunkline.timing import TimeLimit

TOLERANCE = 1e-4
"""In tasks: bounds this close below a whole number count as that number. The programme's own
tolerances are 1e-7 on columns between 0 and 1, a thousand or so."""

WHOLE = 1e-5
"""A value this close to 0 or 1 is whole."""

MAX_EDGES = 40_000
"""Programmes with more edges are not tried: one solution would take longer than a user waits."""

ROUNDS = 5
"""So many cutting rounds pass between two solutions that are rounded."""

LEAST_JOINED = 0.05
"""Edges of a smaller value do not shape a rounded path."""

_Fixed = tuple[tuple[int, float], ...]


class Proof:
    """A bound on the tasks served, and better paths on the way.

    Args:
        search: a local search that has run; it is asked to improve paths.
        bound: one that is known to hold.

    Attributes:
        bound: no plan serves more tasks than this.
    """

    def __init__(self, search: LocalSearch, bound: int) -> None:
        self._search = search
        self.bound = bound
        self._fixed: dict[int, float] = {}
        self._relaxation: ForestRelaxation | None = None
        self._root = Relaxed(math.inf, None)

    @property
    def best(self) -> tuple[list[int], Split]:
        """The best path found, and its split."""
        return self._search.best

    @property
    def _served(self) -> int:
        """Tasks that the best plan serves."""
        return self._search.best[1].served

    @property
    def _cutoff(self) -> float:
        """Bounds below this leave no room for one more task."""
        return self._served + 1 - TOLERANCE

    def _tighten(self, bound: float) -> None:
        """Take in a bound on all plans that are better than the best one."""
        possible = math.floor(bound + TOLERANCE) if bound > -math.inf else 0
        self.bound = min(self.bound, max(self._served, possible))

    def relax(self, limit: TimeLimit) -> None:
        """Tighten the bound by the relaxation, and look for paths near its solutions."""
        n = len(self._search.scattered)
        if self._served >= self.bound or n * (n - 1) // 2 > MAX_EDGES or limit.is_up:
            return
        self._relaxation = ForestRelaxation(self._search.scattered)
        rounds = 0
        while not limit.is_up:
            self._root, rows = self._relaxation.step(self._cutoff)
            self._tighten(self._root.bound)
            if self._root.values is None:
                break
            rounds += 1
            if not rows or rounds % ROUNDS == 0:
                self._round(self._relaxation, self._root.values)
            if not rows:
                break
            self._relaxation.add(rows)

    def branch(self, limit: TimeLimit) -> None:
        """Tighten the bound until it is met or the time is up (after `relax`)."""
        if self._relaxation is None or self._served >= self.bound or limit.is_up:
            return
        relaxation = self._relaxation
        relaxation.shrink(self._root, self._cutoff)
        pending: list[tuple[float, int, _Fixed]] = [(-self._root.bound, 0, ())]
        unsettled = -math.inf
        number = 0
        while pending and -pending[0][0] >= self._cutoff and not limit.is_up:
            _, _, fixed = heapq.heappop(pending)
            self._go_to(relaxation, fixed)
            node = relaxation.solve(self._cutoff, limit)
            if node.values is None:
                if node.bound >= self._cutoff:  # out of time
                    heapq.heappush(pending, (-node.bound, -1, fixed))
                continue
            column = _branching_column(relaxation, node.values)
            if column is None or number < 20 or number % 20 == 0:
                self._round(relaxation, node.values)
            if column is None:
                unsettled = max(unsettled, node.bound)
                continue
            for value in (1.0, 0.0):
                number += 1
                heapq.heappush(pending, (-node.bound, number, (*fixed, (column, value))))
        self._tighten(max([unsettled, *(-one[0] for one in pending)]))

    def _go_to(self, relaxation: ForestRelaxation, fixed: _Fixed) -> None:
        """Fix the columns of a node, and free those of the last one."""
        wanted = dict(fixed)
        for column in [c for c in self._fixed if c not in wanted]:
            relaxation.free(column)
            del self._fixed[column]
        for column, value in wanted.items():
            if self._fixed.get(column) != value:
                relaxation.fix(column, value)
                self._fixed[column] = value

    def _round(self, relaxation: ForestRelaxation, values: NDArray[np.float64]) -> None:
        """Improve the path that a solution suggests."""
        path = rounded_path(relaxation, values)
        self._search.offer(path)
        self._search.improve(path)


def _branching_column(relaxation: ForestRelaxation, values: NDArray[np.float64]) -> int | None:
    """The column that is least whole: among visits, else edges, else steps; None if none is."""
    edges = np.arange(relaxation.first_edge, values.size)
    for columns in (relaxation.visited, edges, np.arange(relaxation.first_edge)):
        if columns.size:
            off = np.minimum(values[columns], 1.0 - values[columns])
            if off.max() > WHOLE:
                return int(columns[off.argmax()])
    return None


def rounded_path(relaxation: ForestRelaxation, values: NDArray[np.float64]) -> list[int]:
    """A path through the models visited more than half, along the edges of greatest value."""
    joined = values[relaxation.first_edge :]
    neighbours: list[list[int]] = [[] for _ in relaxation.visited]
    piece = list(range(len(neighbours)))
    for edge in np.argsort(-joined, kind="stable").tolist():
        i, j = int(relaxation.tail[edge]), int(relaxation.head[edge])
        if joined[edge] < LEAST_JOINED:
            break
        if len(neighbours[i]) < 2 and len(neighbours[j]) < 2 and piece[i] != piece[j]:
            neighbours[i].append(j)
            neighbours[j].append(i)
            old = piece[j]
            piece = [piece[i] if one == old else one for one in piece]
    taken = values[relaxation.visited] > 0.5
    order: list[int] = []
    seen = [False] * len(neighbours)
    for start, beside in enumerate(neighbours):
        if seen[start] or len(beside) > 1:
            continue
        following: int | None = start
        while following is not None:
            order.append(following)
            seen[following] = True
            following = next((i for i in neighbours[order[-1]] if not seen[i]), None)
    return [i for i in order if taken[i]]

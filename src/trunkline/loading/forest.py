"""A linear relaxation of paths through scattered models, and the cuts that make it tight. [derived]

What a path saves is the sum of the savings of its neighbours. As no saving is negative, a path may
be any *linear forest*, pieces of path end to end, so neither a start nor an end is needed:

    maximise   tasks served, sum of z
    z[i, k]    model i serves k tasks at least (z[i, 1]: it is visited), z[i, k] <= z[i, k - 1]
    x[e]       e = {i, j} are neighbours
    time       sum of (whole_i + first step) z[i, 1] + further steps z[i, k] - saved_e x[e] <= limit
    degree     sum of x[e] over the edges at i <= 2 z[i, 1]
    forest     sum of x[e] inside W <= sum of z[i, 1] over W - z[l, 1]   for all W and l in W
    some       sum of all x[e] <= sum of all z[i, 1] - 1

Forest rows are exponentially many and found when violated (generalised subtour elimination, as in
branch and cut for the orienteering problem: Fischetti, Salazar, Toth 1998). The last row says that
some model is visited, so bounds hold for such plans only; it keeps the relaxation from mixing a
long path, on which loads are cheap, with no path at all. For the steps of a model the rows above
describe all convex combinations of its table's entries, so nothing is lost there. Where saving is
not symmetric (a load has overhead, and one model's blocks are all in another's), edges have a
direction and each model at most one in and one out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.highs import Row, add_rows, maximise, row
from trunkline.loading.filling import ascends
from trunkline.loading.scattered import Scattered
from trunkline.timing import TimeLimit

VIOLATION = 1e-3
"""Forest rows violated by less are left alone."""

CHAIN_VIOLATION = 1e-5
"""The same for z[i, k] <= z[i, k - 1]."""


@dataclass(frozen=True)
class Relaxed:
    """A solution of the relaxation.

    Attributes:
        bound: its objective, in tasks.
        values: of all columns; None where the bound is below what was asked for.
    """

    bound: float
    values: NDArray[np.float64] | None


class ForestRelaxation:
    """The relaxation as a linear programme that grows by cuts.

    Columns are first the steps of all models, then those of the rest's table, then edges.

    Attributes:
        visited: column of z[i, 1] of each model.
        tail, head: the models of each edge column, shape (edges,).
        first_edge: the first edge column.
    """

    def __init__(self, scattered: Scattered) -> None:
        self._scattered = scattered
        sizes = [table.size - 1 for table in scattered.tables]
        starts = np.cumsum([0, *sizes])
        self.visited = starts[:-1]
        self.first_edge = int(starts[-1]) + scattered.rest.size - 1
        self._parent = self._parents(starts)
        saved_s = scattered.saved_s
        self._directed = not np.array_equal(saved_s, saved_s.T)
        pairs = saved_s if self._directed else np.triu(saved_s)
        self.tail, self.head = np.nonzero(pairs > 0)
        steps = [np.diff(table) for table in (*scattered.tables, scattered.rest)]
        seconds = np.concatenate(steps)
        seconds[self.visited] += scattered.whole_s
        costs = np.concatenate((seconds, -pairs[self.tail, self.head]))
        objective = np.zeros(costs.size)
        objective[: self.first_edge] = 1.0
        scale = scattered.limit_s or 1.0
        rows = [row(np.arange(costs.size), costs / scale, most=scattered.limit_s / scale)]
        for i, (start, size) in enumerate(zip(self.visited.tolist(), sizes, strict=True)):
            rows += self._degree_rows(i)
            if size > 1:
                weights = np.ones(size)
                weights[0] = 1.0 - size
                rows.append(row(np.arange(start, start + size), weights, most=0.0))
        columns = np.concatenate((np.arange(self.first_edge, costs.size), self.visited))
        signs = np.repeat([1.0, -1.0], [self.tail.size, self.visited.size])
        rows.append(row(columns, signs, most=-1.0))
        self._solver = maximise(objective, np.ones(costs.size), rows)
        self._fixed_rows = len(rows)

    def _parents(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each step's column the one that must be at least as large, -1 for none.

        Where steps ascend, that is the visit's (a cheaper step is never left for a dearer one);
        elsewhere the step before.
        """
        parent = np.arange(self.first_edge) - 1
        parent[self.visited] = -1
        for start, table in zip(starts[:-1].tolist(), self._scattered.tables, strict=True):
            if ascends(np.diff(table[1:])):
                parent[start + 1 : start + table.size - 1] = start
        parent[starts[-1] : starts[-1] + 1] = -1
        if ascends(np.diff(self._scattered.rest)):
            parent[starts[-1] :] = -1
        return parent

    def _degree_rows(self, i: int) -> list[Row]:
        """At most two neighbours; with directions, at most one before and one after."""
        out_of = np.flatnonzero(self.tail == i) + self.first_edge
        into = np.flatnonzero(self.head == i) + self.first_edge
        visited = self.visited[i]
        sides, most = [np.concatenate((out_of, into))], 2.0
        if self._directed:
            sides, most = [out_of, into], 1.0
        return [
            row([*edges, visited], [*np.ones(edges.size), -most], most=0.0)
            for edges in sides
            if edges.size
        ]

    def step(self, cutoff: float) -> tuple[Relaxed, list[Row]]:
        """The solution with the rows so far, and the rows that it violates (for `add`)."""
        self._solver.run()
        if self._solver.modelStatusToString(self._solver.getModelStatus()) == "Infeasible":
            return Relaxed(-np.inf, None), []
        bound = self._solver.getInfo().objective_function_value
        if bound < cutoff:
            return Relaxed(bound, None), []
        values = np.array(self._solver.getSolution().col_value)
        return Relaxed(bound, values), self._violated(values)

    def add(self, rows: list[Row]) -> None:
        """Add rows that a solution violated."""
        add_rows(self._solver, rows)

    def solve(self, cutoff: float, limit: TimeLimit) -> Relaxed:
        """Solve, cut and solve again until nothing is violated, the bound is below `cutoff`, or the
        time is up (then the values are None too, and the bound still holds)."""
        while True:
            relaxed, rows = self.step(cutoff)
            if not rows:
                return relaxed
            if limit.is_up:
                return Relaxed(relaxed.bound, None)
            self.add(rows)

    def _violated(self, values: NDArray[np.float64]) -> list[Row]:
        """The rows that a solution violates: steps without their visit, and cycles."""
        parent = self._parent
        over = values[: self.first_edge] - values[parent]
        steps = np.flatnonzero((parent >= 0) & (over > CHAIN_VIOLATION))
        rows = [row([k, parent[k]], [1.0, -1.0], most=0.0) for k in steps.tolist()]
        visited, joined = values[self.visited], values[self.first_edge :]
        for members, root in violated_forests(self.tail, self.head, joined, visited):
            inside = np.flatnonzero(members[self.tail] & members[self.head]) + self.first_edge
            others = members.copy()
            others[root] = False
            columns = np.concatenate((inside, self.visited[others]))
            weights = np.concatenate((np.ones(inside.size), -np.ones(columns.size - inside.size)))
            rows.append(row(columns, weights, most=0.0))
        return rows

    def shrink(self, relaxed: Relaxed, cutoff: float) -> None:
        """Drop what cannot be part of a solution of `cutoff` tasks or more, by reduced costs: edges
        for good, steps by their bounds; and rows that do not bind."""
        if relaxed.values is None:
            return
        solution = self._solver.getSolution()
        reduced = np.array(solution.col_dual)
        at_zero = (relaxed.values < 1e-9) & (relaxed.bound + reduced < cutoff)
        at_one = (relaxed.values > 1 - 1e-9) & (relaxed.bound - reduced < cutoff)
        for column in np.flatnonzero(at_zero[: self.first_edge]).tolist():
            self.fix(column, 0.0)
        for column in np.flatnonzero(at_one[: self.first_edge]).tolist():
            self.fix(column, 1.0)
        value, dual = np.array(solution.row_value), np.array(solution.row_dual)
        most = np.array(self._solver.getLp().row_upper_)
        slack = (most - value > 1e-6) & (np.abs(dual) < 1e-9)
        slack[: self._fixed_rows] = False
        gone = np.flatnonzero(slack).astype(np.int32)
        self._solver.deleteRows(gone.size, gone)
        edges = np.flatnonzero(at_zero[self.first_edge :])
        columns = (edges + self.first_edge).astype(np.int32)
        self._solver.deleteCols(columns.size, columns)
        self.tail, self.head = np.delete(self.tail, edges), np.delete(self.head, edges)

    def fix(self, column: int, value: float) -> None:
        """Give a column one value."""
        self._solver.changeColBounds(column, value, value)

    def free(self, column: int) -> None:
        """Give a column its range back."""
        self._solver.changeColBounds(column, 0.0, 1.0)


def violated_forests(
    tail: NDArray[np.int64],
    head: NDArray[np.int64],
    joined: NDArray[np.float64],
    visited: NDArray[np.float64],
) -> list[tuple[NDArray[np.bool_], int]]:
    """Sets of models with more edges inside than a forest has, and the model to leave out.

    From each model a set grows by the model whose edges into the set exceed its visit most (all
    sets at once), and the most violated set on the way is taken. A heuristic: on the benchmark's
    instances it ended at the bound of exact separation by minimum cuts, in a tenth of the time.

    Args:
        tail, head: the models of each edge, shape (edges,).
        joined: x of each edge.
        visited: z[i, 1] of each model.
    """
    live = np.flatnonzero(visited > 1e-6)
    m = live.size
    if m < 2:
        return []
    weight = np.zeros((visited.size, visited.size))
    np.add.at(weight, (tail, head), joined)
    weight = (weight + weight.T)[np.ix_(live, live)]
    share = visited[live]
    each = np.arange(m)
    gain = weight - share
    gain[each, each] = -np.inf
    grown = np.empty((m, m), dtype=np.int64)
    grown[:, 0] = each
    excess = np.zeros((m, m))
    for size in range(1, m):
        new = gain.argmax(axis=1)
        grown[:, size] = new
        excess[:, size] = excess[:, size - 1] + gain[each, new]
        gain += weight[new]
        gain[each, new] = -np.inf
    most = excess.argmax(axis=1)
    found: dict[bytes, tuple[NDArray[np.bool_], int]] = {}
    for i in np.flatnonzero(excess[each, most] > VIOLATION).tolist():
        inside = grown[i, : most[i] + 1]
        members = np.zeros(visited.size, dtype=bool)
        members[live[inside]] = True
        root = int(live[inside[share[inside].argmax()]])
        found.setdefault(members.tobytes(), (members, root))
    return list(found.values())

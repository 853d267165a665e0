"""`milp`: the problem as a mixed-integer linear programme, solved by HiGHS.

The plain formulation, as an exact peer of `optimal` that shares no algorithm with it:

    maximise  tasks served, sum of z
    z[i, k]   model i serves k tasks at least; z[i, k] <= z[i, k - 1], since tasks are served in
              ascending order of upload (Theorem 2.1); z[i, 1] is whether it is visited
    x[j, i]   model i is visited right after j; 0 is the start and the end
    enter     sum over j of x[j, i] = z[i, 1] = sum over j of x[i, j]; one arc at most leaves 0
    flow      f[j, i] <= n x[j, i] carries a unit to each model visited from 0, so that visits are
              one path (single-commodity flow, Gavish and Graves 1978)
    time      sum of load_ji x[j, i] + sum of steps of the service tables z[i, k] <= deadline
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import UnsupportedProblemError
from trunkline.highs import Row, maximise, row
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.scattered import Scattered
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Upload, service_of
from trunkline.timing import TimeLimit

TIME_LIMIT_S = 30.0
"""How long HiGHS may take by default."""

MAX_MODELS = 400
"""More models with tasks in reach are refused; the arcs between them would be too many."""


def milp(
    problem: LoadingProblem, *, upload: Upload = "sum", time_limit_s: float | None = TIME_LIMIT_S
) -> LoadingPlan:
    """The plan that HiGHS finds, under the bound that it proves (one thread, a fixed seed).

    Args:
        time_limit_s: after so many seconds the best plan so far is returned with the bound so far;
            None is no limit.

    Raises:
        UnsupportedProblemError: the problem has arrivals, own deadlines, a memory budget or
            resident blocks, or more than `MAX_MODELS` models with tasks in reach.
    """
    limit = TimeLimit(time_limit_s)
    plain = problem.plain_for("milp")
    service = service_of(plain, Reading(upload))
    library = plain.library
    scattered = Scattered.of(library.components, service, library, plain.loading)
    if len(scattered) > MAX_MODELS:
        raise UnsupportedProblemError(
            f"'milp' takes at most {MAX_MODELS} models with tasks in reach, "
            f"the problem has {len(scattered)}; use 'optimal' or 'search'"
        )
    path, bound = _Formulation(scattered).solve(limit) if len(scattered) else ([], 0)
    split = scattered.split(path)
    while split is None:  # within HiGHS's tolerance, but not within ours
        path = path[:-1]
        split = scattered.split(path)
    visits = [(scattered.models[i], k) for i, k in zip(path, split.counts, strict=True)]
    return plan_of(problem, "milp", batches_of(plain, service, visits), bound=bound)


class _Formulation:
    """The programme: columns are the z of all models, then x, then f of all arcs."""

    def __init__(self, scattered: Scattered) -> None:
        self._scattered = scattered
        n = len(scattered)
        self._n = n
        sizes = [table.size - 1 for table in scattered.tables]
        starts = np.cumsum([0, *sizes])
        self._visited, self._steps = starts[:-1], int(starts[-1])
        pairs = np.argwhere(~np.eye(n + 1, dtype=bool))  # n stands for start and end
        self._tail, self._head = pairs[:, 0], pairs[:, 1]
        self._arc = self._steps + np.arange(len(pairs))
        self._flow = self._arc + len(pairs)
        objective = np.zeros(self._steps + 2 * len(pairs))
        objective[: self._steps] = 1.0
        upper = np.ones(objective.size)
        upper[self._flow] = np.where(self._head == n, 0.0, n)
        integer = np.ones(objective.size, dtype=bool)
        integer[self._flow] = False
        rows = [self._time_row(), *self._arc_rows(), *self._chain_rows(starts)]
        self._solver = maximise(objective, upper, rows, integer=integer)

    def _time_row(self) -> Row:
        """Loads, uploads and computations end by the deadline."""
        scattered, n = self._scattered, self._n
        load_s = np.zeros((n + 1, n + 1))
        load_s[:n, :n] = scattered.whole_s - scattered.saved_s
        load_s[n, :n] = scattered.whole_s
        steps = np.concatenate([np.diff(table) for table in scattered.tables])
        seconds = np.concatenate((steps, load_s[self._tail, self._head]))
        scale = scattered.limit_s or 1.0
        return row(np.arange(seconds.size), seconds / scale, most=scattered.limit_s / scale)

    def _arc_rows(self) -> list[Row]:
        """Every visit is entered and left once, from the start or from a model that is."""
        n, rows = self._n, []
        for i in range(n):
            into, out_of = np.flatnonzero(self._head == i), np.flatnonzero(self._tail == i)
            visit = self._visited[i]
            for arcs in (into, out_of):
                columns = np.append(self._arc[arcs], visit)
                rows.append(row(columns, np.append(np.ones(arcs.size), -1.0), least=0.0, most=0.0))
            columns = np.concatenate((self._flow[into], self._flow[out_of], [visit]))
            signs = np.concatenate((np.ones(into.size), -np.ones(out_of.size), [-1.0]))
            rows.append(row(columns, signs, least=0.0, most=0.0))
        rows.append(row(self._arc[self._tail == n], 1.0, most=1.0))
        for arc, flow in zip(self._arc.tolist(), self._flow.tolist(), strict=True):
            rows.append(row([flow, arc], [1.0, -float(n)], most=0.0))
        return rows

    def _chain_rows(self, starts: NDArray[np.int64]) -> list[Row]:
        """A model serves k tasks only if it serves k - 1."""
        return [
            row([k, k - 1], [1.0, -1.0], most=0.0)
            for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
            for k in range(first + 1, last)
        ]

    def solve(self, limit: TimeLimit) -> tuple[list[int], int]:
        """The best path found, and how many tasks any path serves at most."""
        import highspy

        solver = self._solver
        solver.setOptionValue("mip_rel_gap", 0.0)
        solver.setOptionValue("mip_abs_gap", 0.999)  # tasks are whole
        for tolerance in ("primal_feasibility_tolerance", "mip_feasibility_tolerance"):
            solver.setOptionValue(tolerance, 1e-9)  # as the deadline's, else late plans pass
        if math.isfinite(limit.left_s):
            solver.setOptionValue("time_limit", limit.left_s)
        solver.run()
        info = solver.getInfo()
        bound = self._scattered.tasks
        if math.isfinite(info.mip_dual_bound):
            bound = min(bound, max(0, math.floor(info.mip_dual_bound + 1e-6)))
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return [], bound
        values = np.array(solver.getSolution().col_value)
        taken = values[self._arc] > 0.5
        after = dict(zip(self._tail[taken].tolist(), self._head[taken].tolist(), strict=True))
        path, at = [], after.get(self._n, self._n)
        while at != self._n:
            path.append(at)
            at = after[at]
        return path, bound

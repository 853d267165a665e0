"""Exact least-time tables where blocks stay resident: a memory budget, or residents at the start.
[derived]

One deadline, all tasks there at the start, no overlap; V(bytes) = o + r bytes. For a set S of
models to be visited let h(S) be the least load time over all orders of S and all evictions. The
least time to serve k tasks is then min over S of h(S) + A_S(k), where A_S combines the service
tables of S with at least one task each. That rests on Theorem 2.1, one visit a model:

- *No overhead (o = 0).* Leave the later of two visits to a model out, its tasks served in the
  earlier one. What it loaded is loaded where it is needed next, or never: at every moment the
  resident set is a part of what it was, and no block is loaded more often. So one visit is enough.
- *No budget* (only the previous model's blocks stay). V obeys the triangle inequality: leaving a
  visit out never costs.
- *A budget and o > 0.* One visit is not enough: a visit also gathers blocks in one load that later
  visits would fetch one by one, each with its overhead (`tests/loading/test_residency.py`). Then
  `below` allows further visits (without a task of their own, so it is a table from below) and
  `table`, which has one visit a model, is exact where the two agree.

h is found by a dynamic programme over (models visited, blocks resident that a model not yet visited
needs). A block is only evicted when room is needed, and as little as possible: more residents never
hurt. A state goes if another of the same S costs no more even after loading what it lacks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.masks import BlockMasks
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.service import Table, cut

MAX_WORK = 300_000
"""The tables are given up when they take more comparisons of states than this (some tenths of a
second); a choice of what stays counts as ten."""

MAX_MODELS = 14
"""They are not begun with more models than this."""

MAX_CELLS = 1 << 23
"""The tables hold at most this many numbers (64 MiB)."""


class TooManyStatesError(Exception):
    """The dynamic programme passed its limit; caught within the package."""


@dataclass(frozen=True, slots=True)
class Step:
    """One visit of a plan with evictions.

    Attributes:
        model: the model's position.
        count: how many of its tasks it serves.
        kept: the blocks of other models that must stay when it loads.
    """

    model: int
    count: int
    kept: frozenset[str]


class ResidencyTable:
    """The table of a few models under the problem's residency rule, and the steps behind it.

    Args:
        problem: memory budget, residents, library and V; its deadlines and arrivals do not count.
        models: positions of the models that have tasks.
        service: service table of every model of the library, by position.
        limit_s: where the table is cut.

    Attributes:
        table: least seconds to serve k tasks with one visit a model.
        below: no plan takes less; the same object as `table` where that is exact.

    Raises:
        TooManyStatesError: too many models, or more than `MAX_WORK`.
    """

    def __init__(
        self,
        problem: LoadingProblem,
        models: Sequence[int],
        service: Sequence[Table],
        limit_s: float,
    ) -> None:
        self._models = list(models)
        self._own = [service[i] for i in models]
        if not fits([table.size - 1 for table in self._own]):
            raise TooManyStatesError
        self._combined = _combined_service(self._own, limit_s)
        self._loads = _LeastLoads(problem, self._models, limit_s, revisits=False)
        self._serves, self._best, self.table = _least(self._loads.seconds, self._combined, limit_s)
        self.below: Table = self.table
        if problem.memory_bytes is not None and problem.loading.overhead_s > 0:
            revisiting = _LeastLoads(problem, self._models, limit_s, revisits=True)
            *_, below = _least(revisiting.seconds, self._combined, limit_s)
            if below.size != self.table.size or (below < self.table).any():
                self.below = below

    def steps(self, k: int) -> list[Step]:
        """The visits, in order, that serve k tasks (or more) in `table[k]` seconds."""
        k = int(self._serves[k])
        if k == 0:
            return []
        visited = int(self._best[k])
        counts = self._counts(visited, k)
        return [Step(self._models[i], counts[i], kept) for i, kept in self._loads.order(visited)]

    def _counts(self, visited: int, k: int) -> list[int]:
        """How many of k tasks each model visited serves, at least one."""
        counts = [0] * len(self._models)
        for i in reversed(range(len(self._models))):
            if visited >> i & 1:
                visited ^= 1 << i
                own = self._own[i]
                most = min(k, own.size - 1)
                totals = self._combined[visited, k - most : k][::-1] + own[1 : most + 1]
                counts[i] = 1 + int(totals.argmin())
                k -= counts[i]
        return counts


def fits(tasks: Sequence[int]) -> bool:
    """Whether tables over all subsets can be held; `tasks` counts those of each model."""
    models = len(tasks)
    return models <= MAX_MODELS and (models + sum(tasks) + 1) << models <= MAX_CELLS


_Back = tuple[int, int, int, int]  # models visited before, residents then, model visited, kept


class _LeastLoads:
    """h(S) for every set S of models, and an order with evictions behind each.

    Attributes:
        seconds: h by mask of S; infinite past the limit.
    """

    def __init__(
        self, problem: LoadingProblem, models: Sequence[int], limit_s: float, *, revisits: bool
    ) -> None:
        library = problem.library
        self._masks = BlockMasks(library.blocks, [library.block_sets[i] for i in models])
        self._link = problem.loading
        self._budget = None if problem.memory_bytes is None else problem.memory_limit
        self._limit_s = limit_s
        self._revisits = revisits
        self._left = MAX_WORK
        count = len(models)
        self._found: list[dict[int, tuple[float, _Back]]] = [{} for _ in range(1 << count)]
        self._found[0][self._masks.mask(problem.resident)] = (0.0, (0, 0, -1, 0))
        self._wanted = [0]  # by the models not yet visited: the blocks that they need
        for need in self._masks.needs:
            self._wanted += [wanted | need for wanted in self._wanted]
        self.seconds = np.full(1 << count, np.inf)
        for visited in range(1 << count):
            self._settle(visited)

    def order(self, visited: int) -> list[tuple[int, frozenset[str]]]:
        """The models in an order of least load time, each with the blocks kept beside its own."""
        resident = min(self._found[visited], key=lambda r: self._found[visited][r][0])
        steps = []
        while visited:
            visited, resident, model, kept = self._found[visited][resident][1]
            steps.append((model, self._masks.names(kept)))
        return steps[::-1]

    def _settle(self, visited: int) -> None:
        """Keep the states of one set of models that no other makes needless, and go on from them.

        With revisits a state may lead to others of the same set, so the least go first.
        """
        found = self._found[visited]
        waiting = [(seconds, resident) for resident, (seconds, _) in found.items()]
        heapq.heapify(waiting)
        kept: list[tuple[float, int]] = []
        while waiting:
            seconds, resident = heapq.heappop(waiting)
            self._work(1 + len(kept))
            if any(c + self._seconds(resident & ~r, visited) <= seconds for c, r in kept):
                continue
            kept.append((seconds, resident))
            for model in range(len(self._masks.needs)):
                if not visited >> model & 1 or self._revisits:
                    for into in self._visit(visited, resident, seconds, model):
                        heapq.heappush(waiting, into)
        if kept:
            self.seconds[visited] = kept[0][0]
        self._found[visited] = {resident: found[resident] for _, resident in kept}

    def _visit(
        self, visited: int, resident: int, seconds: float, model: int
    ) -> list[tuple[float, int]]:
        """Note the states after a visit; returns those of the same set of models visited."""
        masks = self._masks
        need = masks.needs[model]
        total = seconds + self._link.seconds(masks.bytes(need & ~resident))
        if total > self._limit_s:
            return []
        after = visited | 1 << model
        wanted = self._wanted[len(self._wanted) - 1 - after]
        others = resident & wanted & ~need
        if self._budget is None:
            choices = iter((0,))
        else:
            choices = masks.most_within(others, self._budget - masks.bytes(need))
        into = self._found[after]
        same = []
        for kept in choices:
            self._work(10)
            state = (kept | need) & wanted
            known = into.get(state)
            if known is None or total < known[0]:
                into[state] = (total, (visited, resident, model, kept))
                if after == visited:
                    same.append((total, state))
        return same

    def _work(self, steps: int) -> None:
        """Count work against the limit."""
        self._left -= steps
        if self._left < 0:
            raise TooManyStatesError

    def _seconds(self, missing: int, visited: int) -> float:
        """The most that loading these blocks later can add."""
        if not missing:
            return 0.0
        loads = missing.bit_count()
        if not self._revisits:
            loads = min(loads, len(self._masks.needs) - visited.bit_count())
        link = self._link
        return link.overhead_s * loads + link.seconds_per_byte * self._masks.bytes(missing)


def _least(
    loads: NDArray[np.float64], combined: NDArray[np.float64], limit_s: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Table]:
    """For each k the tasks served (k, or more where that takes less), the best set of models by
    tasks served, and the least seconds, cut at the limit."""
    total = loads[:, None] + combined
    best = total.argmin(axis=0)
    exactly = total[best, np.arange(total.shape[1])]
    serves = np.arange(exactly.size)
    for k in range(exactly.size - 2, -1, -1):
        if exactly[serves[k + 1]] < exactly[k]:
            serves[k] = serves[k + 1]
    return serves, best, cut(exactly[serves], limit_s)


def _combined_service(service: Sequence[Table], limit_s: float) -> NDArray[np.float64]:
    """A_S(k) for every subset S with a task of each member at least, shape (2^n, most tasks + 1);
    infinite past the limit."""
    most = sum(table.size - 1 for table in service)
    combined = np.full((1 << len(service), most + 1), np.inf)
    combined[0, 0] = 0.0
    for i, own in enumerate(service):
        without = combined[: 1 << i]
        into = combined[1 << i : 2 << i]
        for j in range(1, own.size):
            part = into[:, j:]
            np.minimum(part, without[:, : most + 1 - j] + own[j], out=part)
    combined[combined > limit_s] = np.inf
    return combined

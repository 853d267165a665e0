"""`paper`: Algorithms 1 and 2 of PartialLoading, the slotted dynamic programme for bottom-layer
sharing, as printed and corrected.

Equation numbers are the paper's (v1). Time is cut into T slots; q_m(j, i, t) is the most tasks that
model i serves in t slots when it follows model j of its cluster (15); g_m(i, t) the most that the
first i models of cluster m serve in t slots (18); f(m, t) the most over the first m clusters (20).

As printed, (19) lets model j precede i only where g_m(j, .) > g_m(j-1, .), that is where j improves
on the models before it. A model that serves fewer but leaves more loaded is passed over, so the
result can miss the optimum even in whole slots (shared layers of 1 and 18 ms and three models on
them: printed 2, optimum 3; see the tests). Corrected [derived]: the best with i the model loaded
*last* is kept, so every j may precede.

Tables here go the other way round, least slots to serve k tasks, because there are fewer tasks than
(task, slot) pairs and because such tables combine over clusters like those of every other method
(`tables`). The printed condition speaks of slots, so its recursion keeps them; the plain form of
both stands in `benchmarks/algorithm2.py`, and the tests compare them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError, UnsupportedProblemError
from trunkline.library import Component
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, cut, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.subsets import load_seconds
from trunkline.loading.tables import Fold
from trunkline.loading.trie import Visit

Variant = Literal["printed", "corrected"]

DEFAULT_SLOT_S = 0.01
"""The slot of the paper's Section VII, 10 ms."""

Needs = list[NDArray[np.float64]]
"""needs[i][j, k - 1]: slots that a visit to model i of a cluster (from 1) takes to serve k tasks
after model j, or as the cluster's first if j = 0; shape (i, tasks of i). The inverse of q (15)."""


def paper(
    problem: LoadingProblem,
    *,
    upload: Upload = "sum",
    slot_s: float = DEFAULT_SLOT_S,
    variant: Variant = "corrected",
) -> LoadingPlan:
    """The plan of Algorithms 1 and 2, its batches run back to back (slots end where work ends).

    Args:
        slot_s: length of a slot, seconds.
        variant: "printed" follows (19) and the batches of (16) to the letter, "corrected" mends
            both (the batches differ under `upload="max"` only).

    Raises:
        UnsupportedProblemError: a cluster's sharing is not bottom-layer (one chain of shared
            layers, Definition 2), the problem is not the paper's (see `plain`), or there are
            too many slots.
        InputError: a slot that takes no time, or an unknown variant.
    """
    if variant not in ("printed", "corrected"):
        raise InputError(f"variant: 'printed' or 'corrected', got {variant!r}")
    plain = problem.plain_for("paper")
    service = service_of(plain, Reading(upload, partial_last=variant == "printed"))
    slots = slots_in(plain.deadline_s, slot_s)
    solver = _Printed if variant == "printed" else _Corrected
    clusters = [
        solver(chain, _needs(plain, service, chain, slot_s), slots)
        for component in plain.library.components
        if (chain := _ascending(plain, component, service))
    ]
    fold = Fold([cluster.table for cluster in clusters], slots)  # f (20)
    counts = fold.split(fold.table.size - 1)
    visits = [
        visit
        for cluster, count in zip(clusters, counts, strict=True)
        for visit in cluster.visits(count)
    ]
    batches = batches_of(plain, service, visits)
    return plan_of(problem, "paper", batches, bound=servable_bound(problem))


def _ascending(problem: LoadingProblem, component: Component, service: Service) -> list[int]:
    """The cluster's models with tasks in ascending order of l_i, the depth of sharing."""
    shared = [group for group in component.groups if len(group.models) > 1]
    shared.sort(key=lambda group: -len(group.models))
    for outer, inner in pairwise(shared):
        if not set(inner.models) <= set(outer.models):
            names = ", ".join(problem.models[i].id for i in component.models[:4])
            raise UnsupportedProblemError(
                f"'paper' needs bottom-layer sharing (Definition 2): the shared blocks of {names} "
                "and others are no chain; use 'optimal' or 'greedy'"
            )
    depth = dict.fromkeys(component.models, 0)
    for group in shared:
        for model in group.models:
            depth[model] += 1
    asked = [i for i in component.models if service.tables[i].size > 1]
    return sorted(asked, key=lambda i: (depth[i], problem.models[i].id))


def _needs(problem: LoadingProblem, service: Service, chain: list[int], slot_s: float) -> Needs:
    """The slots of every visit within a cluster; no visit takes less than one slot, (15)."""
    first, after = load_seconds(problem.library, problem.loading, chain)
    needs: Needs = [np.empty((0, 0))]
    for i, position in enumerate(chain):
        loads = np.concatenate((first[i : i + 1], after[:i, i]))
        seconds = loads[:, None] + service.tables[position][1:]
        needs.append(np.maximum(slots_of(seconds, slot_s), 1))
    return needs


class _Corrected:
    """One cluster, any model before any later one. Models are numbered 1..n, 0 is none.

    With F_i(k) the least slots to serve k tasks when i is the last model loaded,
    F_i(k) = min over j < i and own tasks c >= 1 of F_j(k - c) + needs_i(j, c), and F_0(0) = 0.

    Attributes:
        table: least slots to serve k tasks.
    """

    def __init__(self, chain: list[int], needs: Needs, slots: int) -> None:
        self._chain = chain
        self._needs = needs
        most = sum(need.shape[1] for need in needs)
        self._last = np.full((len(needs), most + 1), np.inf)
        self._last[0, 0] = 0.0
        for i in range(1, len(needs)):
            own = self._last[i]
            for c, need in enumerate(needs[i].T, start=1):
                reached = (self._last[:i, : most + 1 - c] + need[:, None]).min(axis=0)
                np.minimum(own[c:], reached, out=own[c:])
        self.table: Table = cut(self._last.min(axis=0), slots)

    def visits(self, k: int) -> list[Visit]:
        """The visits, in order, that serve k tasks in `table[k]` slots."""
        visits: list[Visit] = []
        i = int(self._last[:, k].argmin())
        while i:
            need = self._needs[i]
            own = np.arange(1, min(k, need.shape[1]) + 1)
            slots = self._last[:i, k - own] + need[:, : own.size]
            j, column = np.unravel_index(slots.argmin(), slots.shape)
            visits.append((self._chain[i - 1], int(column) + 1))
            i, k = int(j), k - int(column) - 1
        return visits[::-1]


NONE = -(1 << 40)
"""A count that no sum makes positive: there is no such plan."""


class _Printed:
    """One cluster by (18) and (19) as printed. Models are numbered 1..n, 0 is none.

    Attributes:
        table: least slots to serve k tasks.
    """

    def __init__(self, chain: list[int], needs: Needs, slots: int) -> None:
        self._chain = chain
        self._slots = slots
        self._needs = [np.minimum(need, slots + 1).astype(np.int64) for need in needs]
        self._served = np.zeros((len(needs), slots + 1), dtype=np.int64)  # g (18)
        # The most tasks that may precede, in t slots at most; t = -1 - slots .. slots.
        self._before = np.full((len(needs), 2 * slots + 2), NONE)
        self._before[0, slots + 1 :] = 0
        for i in range(1, len(needs)):
            most = self._with(i, np.arange(slots + 1)).max(axis=0)
            np.maximum(most, self._served[i - 1], out=self._served[i])
            improves = self._served[i] > self._served[i - 1]  # the condition in (19)
            may = np.where(improves, self._served[i], NONE)
            np.maximum.accumulate(may, out=self._before[i, slots + 1 :])
        best = self._served[-1]
        self.table: Table = np.searchsorted(best, np.arange(best[-1] + 1)).astype(float)

    def _with(self, i: int, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tasks served within `times` slots when i serves c of them after j; a row for each j and
        c, in this order."""
        need = self._needs[i]
        rows = np.arange(self._slots + 1, self._before.size, self._before.shape[1])[:i]
        left = (rows[:, None] - need).reshape(-1, 1) + times
        served: NDArray[np.int64] = self._before.take(left)
        served += np.tile(np.arange(1, need.shape[1] + 1), i)[:, None]
        return served

    def visits(self, k: int) -> list[Visit]:
        """The visits, in order, that serve k tasks in `table[k]` slots (Algorithm 1)."""
        visits: list[Visit] = []
        i, slots = len(self._chain), int(self.table[k])
        while k:
            while self._served[i - 1, slots] == k:
                i -= 1
            row = int(self._with(i, np.array([slots])).argmax())
            j, column = divmod(row, self._needs[i].shape[1])
            visits.append((self._chain[i - 1], column + 1))
            k -= column + 1
            slots -= int(self._needs[i][j, column])
            if k:
                slots = int(np.argmax(self._before[j, self._slots + 1 :] == k))
            i = j
        return visits[::-1]

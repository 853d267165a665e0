"""`paper`: Algorithms 1 and 2 of PartialLoading, the slotted dynamic programme for bottom-layer
sharing, as printed and corrected.

Equation numbers are the paper's (v1). Time is cut into T slots; q_m(j, i, t) is the most tasks that
model i serves in t slots when it follows model j of its cluster (15); g_m(i, t) the most that the
first i models of cluster m serve in t slots (18); f(m, t) the most over the first m clusters (20).

As printed, (19) lets model j precede i only where g_m(j, .) > g_m(j-1, .), that is where j improves
on the models before it. A model that serves fewer but leaves more loaded is passed over, so the
result can miss the optimum even in whole slots (shared layers of 1 and 18 ms and three models on
them: printed 2, optimum 3; see the tests). Corrected [derived]: G(i, t) is the best with i the
model loaded *last*, so every j may precede.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError, UnsupportedProblemError
from trunkline.library import Component
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, load_bytes_after, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.trie import Visit

Variant = Literal["printed", "corrected"]

DEFAULT_SLOT_S = 0.01
"""The slot of the paper's Section VII, 10 ms."""

Counts = NDArray[np.int64]


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
    plain = problem.plain
    if plain is None:
        raise UnsupportedProblemError(
            "'paper' takes one deadline, tasks that are there at the start, no memory budget and "
            "nothing resident; use 'greedy' or 'optimal'"
        )
    service = service_of(plain, Reading(upload, partial_last=variant == "printed"))
    slots = slots_in(plain.deadline_s, slot_s)
    clusters = [
        _Cluster(plain, service, chain, slots, slot_s, variant)
        for component in plain.library.components
        if (chain := _ascending(plain, component, service))
    ]
    visits = _combine(clusters, slots)
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


@dataclass(frozen=True)
class _Step:
    """How g_m(i, t) came about: which model before, in how many slots this one."""

    previous: int
    slots: int


class _Cluster:
    """g_m of one cluster and the visits behind it. Models are numbered 1..n, 0 is none."""

    def __init__(
        self,
        problem: LoadingProblem,
        service: Service,
        chain: list[int],
        slots: int,
        slot_s: float,
        variant: Variant,
    ) -> None:
        self._chain = chain
        n = len(chain)
        self._served: list[list[Counts]] = [
            [
                _within_slots(problem, service.tables[chain[i]], chain, j, i, slots, slot_s)
                for j in range(i + 1)
            ]
            for i in range(n)
        ]
        self._best = np.zeros((n + 1, slots + 1), dtype=np.int64)  # g (18)
        self._last = np.zeros((n + 1, slots + 1), dtype=np.int64)  # i is the model loaded last
        self._steps: dict[tuple[int, int], _Step] = {}
        for i in range(1, n + 1):
            self._add(i, slots, variant)
        self.table: Counts = self._best[n]

    def _add(self, i: int, slots: int, variant: Variant) -> None:
        """Equation (19) for model i, in either variant."""
        alone = self._served[i - 1][0]
        last = alone.copy()
        steps = [_Step(0, t) for t in range(slots + 1)]
        for j in range(1, i):
            q = self._served[i - 1][j]
            before = self._last[j] if variant == "corrected" else self._best[j]
            allowed = before > 0
            if variant == "printed":
                allowed &= self._best[j] != self._best[j - 1]
            for first in np.flatnonzero(allowed).tolist():  # slots given to the models up to j
                reach = slots - first
                gain = before[first] + q[: reach + 1]
                better = (gain > last[first:]) & (q[: reach + 1] > 0)
                last[first:][better] = gain[better]
                for t in np.flatnonzero(better).tolist():
                    steps[first + t] = _Step(j, t)
        self._last[i] = last
        self._best[i] = np.maximum(last, self._best[i - 1])
        for t in range(slots + 1):
            self._steps[i, t] = steps[t]

    def visits(self, slots: int) -> list[Visit]:
        """The visits behind `table[slots]` (the inner loop of Algorithm 1)."""
        i, visits = len(self._chain), []
        while i and self._best[i, slots] > self._last[i, slots]:
            i -= 1
        while i and self._last[i, slots] > 0:
            step = self._steps[i, slots]
            count = int(self._served[i - 1][step.previous][step.slots])
            visits.append((self._chain[i - 1], count))
            slots -= step.slots
            i = step.previous
        return visits[::-1]


def _within_slots(
    problem: LoadingProblem,
    table: Table,
    chain: list[int],
    j: int,
    i: int,
    slots: int,
    slot_s: float,
) -> Counts:
    """q(j, i, t) of (15) for t = 0..slots: chain[i] follows chain[j - 1], or nothing if j = 0."""
    previous = chain[j - 1] if j else None
    load_s = problem.loading.seconds(load_bytes_after(problem, chain[i], previous))
    needed = slots_of(table[1:] + load_s, slot_s)
    served: Counts = np.searchsorted(needed, np.arange(slots + 1), side="right")
    served[0] = 0  # (15): no task in no slot
    return served


def _combine(clusters: list[_Cluster], slots: int) -> list[Visit]:
    """f of (20) over the clusters, and the outer loop of Algorithm 1."""
    tables = [np.zeros(slots + 1, dtype=np.int64)]
    for cluster in clusters:
        best = tables[-1].copy()
        for given in range(1, slots + 1):
            gain = tables[-1][: slots + 1 - given] + cluster.table[given]
            np.maximum(best[given:], gain, out=best[given:])
        tables.append(best)
    visits: list[Visit] = []
    left = slots
    for m in reversed(range(len(clusters))):
        gains = tables[m][left::-1] + clusters[m].table[: left + 1]
        given = int(np.argmax(gains))
        visits = clusters[m].visits(given) + visits
        left -= given
    return visits

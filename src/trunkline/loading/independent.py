"""`independent`: the best plan when every model loads whole (PartialLoading, Remark 4).

Without sharing, a visit to model i costs V(all its bytes) whatever came before, so the order of
models does not matter and one combination over models is exact, in continuous time or in slots.
"""

from __future__ import annotations

import numpy as np

from trunkline.loading.forward import run_greedy
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Upload, cut, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.tables import Fold


def independent(
    problem: LoadingProblem, *, upload: Upload = "sum", slot_s: float | None = None
) -> LoadingPlan:
    """The plan that serves the most tasks by whole-model loads.

    `slot_s` None is continuous time, else the length of a slot [s]: every visit then takes whole
    slots, which is Algorithm 2 with each model a cluster of its own.

    Its `bound` is for the problem as stated, which allows partial loads, so `proven` says whether
    loading whole costs nothing here, not whether this is the best way of loading whole (it is, for
    plain problems; others are planned greedily).
    """
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        batches = run_greedy(problem, reading, whole=True)
        return plan_of(problem, "independent", batches, bound=servable_bound(problem))
    service = service_of(plain, reading)
    limit = service.limit_s if slot_s is None else slots_in(plain.deadline_s, slot_s)
    tables = []
    for own, size in zip(service.tables, problem.library.model_bytes, strict=True):
        table = own + problem.loading.seconds(size)
        if slot_s is not None:
            table = np.maximum(slots_of(table, slot_s), 1)
        table[0] = 0.0
        tables.append(cut(table, limit))
    fold = Fold(tables, limit)
    counts = fold.split(fold.table.size - 1)
    visits = [(model, count) for model, count in enumerate(counts) if count]
    batches = batches_of(plain, service, visits, whole=True)
    return plan_of(problem, "independent", batches, bound=servable_bound(problem))

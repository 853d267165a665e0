"""`search`: a fast plan for scattered sharing, with a bound.

What tables solve exactly is solved so (`parts`); the models of scattered components are planned by
local search over the order of their visits, every order with its best split of the tasks
(`local_search`). The relaxation behind the proofs (`forest`) gives the bound, and its solutions are
further starts. So the search often ends with a proof, and else knows how much may be missing.
"""

from __future__ import annotations

import math

from trunkline.loading.local_search import LocalSearch
from trunkline.loading.parts import Parts
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.proof import Proof
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Upload, service_of
from trunkline.timing import TimeLimit

FIRST_EFFORT = 30
"""What the local search spends before the relaxation is solved."""

MAX_RELAXED = 60
"""For more models than this the relaxation takes longer than a quick search may."""


def search(
    problem: LoadingProblem,
    *,
    upload: Upload = "sum",
    time_limit_s: float | None = None,
    seed: int = 0,
) -> LoadingPlan:
    """The best plan found, under a bound from relaxations.

    Args:
        time_limit_s: go on looking for so many seconds, or until the bound is met; None stops after
            a fixed effort (tens of milliseconds for 50 models), always with the same plan.
        seed: of the search's random kicks.

    Raises:
        UnsupportedProblemError: the problem has arrivals, own deadlines, a memory budget or
            resident blocks.
    """
    limit = TimeLimit(time_limit_s)
    plain = problem.plain_for("search")
    service = service_of(plain, Reading(upload))
    parts = Parts(plain, service)
    proof = explore(
        parts,
        limit,
        seed=seed,
        effort=None if time_limit_s is None else math.inf,
        relaxed=len(parts.scattered) <= MAX_RELAXED,
    )
    batches = batches_of(plain, service, parts.visits(*proof.best))
    return plan_of(problem, "search", batches, bound=proof.bound)


def explore(
    parts: Parts,
    limit: TimeLimit,
    *,
    seed: int = 0,
    effort: float | None = None,
    relaxed: bool = True,
) -> Proof:
    """The best path through the models that no table solves, and a bound on all tasks.

    Args:
        seed, effort: of the local search.
        relaxed: whether to solve the relaxation in between.
    """
    search = LocalSearch(parts.scattered, seed)
    proof = Proof(search, parts.quick_bound)
    if len(parts.scattered):
        if relaxed:
            search.run(enough=proof.bound, effort=FIRST_EFFORT, limit=limit)
            proof.relax(limit)
        search.run(enough=proof.bound, effort=effort, limit=limit)
    return proof

"""`search`: a fast plan for scattered sharing, with a bound.

What tables solve exactly is solved so (`parts`); the models of scattered components are planned by
local search over the order of their visits, every order with its best split of the tasks
(`local_search`).
"""

from __future__ import annotations

import math

from trunkline.loading.local_search import LocalSearch
from trunkline.loading.parts import Parts
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Upload, service_of
from trunkline.loading.timing import TimeLimit


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
    looked = LocalSearch(parts.scattered, seed)
    effort = None if time_limit_s is None else math.inf
    looked.run(enough=parts.quick_bound, effort=effort, limit=limit)
    visits = parts.visits(*looked.best)
    return plan_of(problem, "search", batches_of(plain, service, visits), bound=parts.quick_bound)

"""The methods for loading problems by name, and the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trunkline.loading.equal import equal
from trunkline.loading.exhaustive import exhaustive
from trunkline.loading.greedy import greedy
from trunkline.loading.independent import independent
from trunkline.loading.insertion import insertion
from trunkline.loading.milp import milp
from trunkline.loading.optimal import optimal
from trunkline.loading.paper import paper
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.search import search
from trunkline.methods import check_margin, check_method

Method = Callable[..., LoadingPlan]

METHODS: Mapping[str, Method] = {
    "optimal": optimal,
    "search": search,
    "milp": milp,
    "greedy": greedy,
    "paper": paper,
    "independent": independent,
    "equal": equal,
    "exhaustive": exhaustive,
    "insertion": insertion,
}
"""Every method: `(problem, *, upload, ...) -> plan`."""

DEFAULT_METHOD = "optimal"


def solve(
    problem: LoadingProblem, method: str = DEFAULT_METHOD, *, margin: float = 0.0, **options: Any
) -> LoadingPlan:
    """The plan of the named method, with the seconds that planning took.

    Args:
        margin: every batch ends this share of its tasks' deadlines before them, for surprises.
        options: the method's own keywords (`upload`, `time_limit_s`, `slot_s`, ...).

    Raises:
        UnknownMethodError: no such method, or an option that the method does not have.
        UnsupportedProblemError: the method does not cover this problem.
        InputError: a margin that is not at least 0 and below 1.
    """
    check_method(METHODS, method, options, "loading", common=("margin",))
    chosen = METHODS[method]
    check_margin(margin)
    started = time.perf_counter()
    plan = chosen(_hurried(problem, margin), **options)
    if margin:  # the bound is about the deadline as stated
        shared = {name: options[name] for name in ("upload", "time_limit_s") if name in options}
        bound = optimal(problem, **shared).bound
        plan = replace(plan, bound=bound, proven=plan.served == bound)
    return replace(plan, solve_s=time.perf_counter() - started)


def _hurried(problem: LoadingProblem, margin: float) -> LoadingProblem:
    """The problem with all deadlines earlier by a share of them."""
    if not margin:
        return problem
    kept = 1.0 - margin
    tasks = tuple(
        task if task.deadline_s is None else replace(task, deadline_s=kept * task.deadline_s)
        for task in problem.tasks
    )
    return replace(problem, deadline_s=kept * problem.deadline_s, tasks=tasks)

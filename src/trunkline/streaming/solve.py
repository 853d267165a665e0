"""The methods for streaming problems by name, and the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trunkline.methods import check_margin, check_method
from trunkline.streaming.baselines import at_one_speed, download_first, equal, fcfs, in_transfers
from trunkline.streaming.exhaustive import exhaustive
from trunkline.streaming.optimal import optimal
from trunkline.streaming.plan import StreamingPlan
from trunkline.streaming.problem import StreamingProblem

Method = Callable[..., StreamingPlan]

METHODS: Mapping[str, Method] = {
    "optimal": optimal,
    "download-first": download_first,
    "transfers": in_transfers,
    "uniform-speed": at_one_speed,
    "equal": equal,
    "fcfs": fcfs,
    "exhaustive": exhaustive,
}
"""Every method: `(problem, ...) -> plan`."""

DEFAULT_METHOD = "optimal"


def solve(
    problem: StreamingProblem, method: str = DEFAULT_METHOD, *, margin: float = 0.0, **options: Any
) -> StreamingPlan:
    """The plan of the named method, with the seconds that planning took.

    Args:
        margin: every user has its answer this share of its deadline before it, for surprises;
            nothing is then proven about the deadlines as stated.
        options: the method's own keywords (`channels`, `transfers`).

    Raises:
        UnknownMethodError: no such method, or an option that the method does not have.
        UnsupportedProblemError: the method does not cover this problem.
        InputError: a margin that is not at least 0 and below 1.
    """
    check_method(METHODS, method, options, "streaming", common=("margin",))
    check_margin(margin)
    started = time.perf_counter()
    plan = METHODS[method](_hurried(problem, margin), **options)
    if margin:
        plan = replace(plan, proven=plan.served == len(problem.users) and not problem.is_weighted)
    return replace(plan, solve_s=time.perf_counter() - started)


def _hurried(problem: StreamingProblem, margin: float) -> StreamingProblem:
    """The problem with all deadlines earlier by a share of them."""
    if not margin:
        return problem
    users = tuple(
        replace(user, deadline_s=(1.0 - margin) * user.deadline_s) for user in problem.users
    )
    return replace(problem, users=users)

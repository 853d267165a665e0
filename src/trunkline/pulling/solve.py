"""The methods for pulling problems by name, and the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trunkline.methods import check_method
from trunkline.pulling.exhaustive import exhaustive
from trunkline.pulling.fallback import fallback
from trunkline.pulling.greedy import greedy
from trunkline.pulling.in_turn import accuracy_first, nearest
from trunkline.pulling.no_sharing import no_sharing
from trunkline.pulling.optimal import optimal
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem
from trunkline.pulling.rounding import rounding

Method = Callable[..., PullingPlan]

METHODS: Mapping[str, Method] = {
    "optimal": optimal,
    "rounding": rounding,
    "greedy": greedy,
    "no-sharing": no_sharing,
    "nearest": nearest,
    "accuracy-first": accuracy_first,
    "exhaustive": exhaustive,
    "fallback": fallback,
}
"""Every method: `(problem, **options) -> plan`, options by keyword only."""

SMALL = 1000
"""Problems of at most so many options are planned by `optimal` where no method is named. Found by
trial: with many more, HiGHS tends to end at its time limit."""


def default_method(problem: PullingProblem) -> str:
    """The method for a problem where none is named: `optimal` for a small one, else `rounding`."""
    options = sum(len(request.options) for request in problem.requests)
    return "optimal" if options <= SMALL else "rounding"


def solve(problem: PullingProblem, method: str | None = None, **options: Any) -> PullingPlan:
    """The plan of the named method, with the seconds that planning took.

    Args:
        method: None takes `default_method(problem)`.
        options: the method's own keywords (`time_limit_s`, ...).

    Raises:
        UnknownMethodError: no such method, or an option that the method does not have.
        UnsupportedProblemError: the method does not cover this problem.
    """
    name = default_method(problem) if method is None else method
    check_method(METHODS, name, options, "pulling")
    started = time.perf_counter()
    plan = METHODS[name](problem, **options)
    return replace(plan, solve_s=time.perf_counter() - started)

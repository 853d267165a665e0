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

Method = Callable[..., PullingPlan]

METHODS: Mapping[str, Method] = {
    "optimal": optimal,
    "greedy": greedy,
    "no-sharing": no_sharing,
    "nearest": nearest,
    "accuracy-first": accuracy_first,
    "exhaustive": exhaustive,
    "fallback": fallback,
}
"""Every method: `(problem, **options) -> plan`, options by keyword only."""

DEFAULT_METHOD = "optimal"


def solve(problem: PullingProblem, method: str | None = None, **options: Any) -> PullingPlan:
    """The plan of the named method, with the seconds that planning took.

    Args:
        method: None takes `DEFAULT_METHOD`.
        options: the method's own keywords (`time_limit_s`, ...).

    Raises:
        UnknownMethodError: no such method, or an option that the method does not have.
        UnsupportedProblemError: the method does not cover this problem.
    """
    name = DEFAULT_METHOD if method is None else method
    check_method(METHODS, name, options, "pulling")
    started = time.perf_counter()
    plan = METHODS[name](problem, **options)
    return replace(plan, solve_s=time.perf_counter() - started)

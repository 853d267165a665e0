"""`fallback`: every request at the data centre, nothing pulled; what any other plan must beat."""

from __future__ import annotations

from trunkline.pulling.costs import plan_of
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem


def fallback(problem: PullingProblem) -> PullingPlan:
    """The plan that serves all requests at the data centre; always possible."""
    return plan_of(problem, "fallback", [None] * len(problem.requests))

"""The three steps that all planners share: load a document, plan, check the plan.

A document's `format` field chooses the planner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trunkline.documents import read, require_format
from trunkline.loading import DEFAULT_METHOD, LoadingPlan, LoadingProblem
from trunkline.loading import check as check_loading
from trunkline.loading import solve as solve_loading
from trunkline.loading.document import PROBLEM_FORMAT, plan_from_document, problem_from_document
from trunkline.loading.plan import FORMAT as PLAN_FORMAT


def load(source: str | Path | Mapping[str, Any]) -> LoadingProblem:
    """The problem that a document states.

    Args:
        source: the path of a JSON or YAML file, or the document as a dict.

    Raises:
        DocumentError: the document cannot be used; the message names the path inside it.
    """
    raw = read(source)
    require_format(raw, PROBLEM_FORMAT)
    return problem_from_document(raw)


def load_plan(source: str | Path | Mapping[str, Any]) -> LoadingPlan:
    """The plan that a document states (DocumentError where it states none)."""
    raw = read(source)
    require_format(raw, PLAN_FORMAT)
    return plan_from_document(raw)


def plan(problem: LoadingProblem, method: str = DEFAULT_METHOD, **options: Any) -> LoadingPlan:
    """A plan for a problem, by the named method; options are the method's own, and `margin`, the
    share of the deadlines that the plan leaves for surprises.

    Raises:
        UnknownMethodError: no such method or option.
        UnsupportedProblemError: the method does not cover this problem.
    """
    return solve_loading(problem, method, **options)


def check(
    problem: LoadingProblem, plan: LoadingPlan | Mapping[str, Any], **options: Any
) -> list[str]:
    """The violations of a plan, from anywhere (a plan or a plan document); empty if it holds."""
    if not isinstance(plan, LoadingPlan):
        plan = load_plan(plan)
    return check_loading(problem, plan, **options)

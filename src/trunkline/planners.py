"""The three steps that all planners share: load a document, plan, check the plan.

A document's `format` field chooses the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from trunkline import loading, pulling, streaming
from trunkline.documents import Raw, read, require_format
from trunkline.errors import PlanningError
from trunkline.loading import LoadingPlan, LoadingProblem
from trunkline.loading import document as loading_document
from trunkline.loading.plan import FORMAT as LOADING_PLAN
from trunkline.methods import options_of
from trunkline.pulling import PullingPlan, PullingProblem
from trunkline.pulling import document as pulling_document
from trunkline.pulling.plan import FORMAT as PULLING_PLAN
from trunkline.pulling.scenario_document import SCENARIO_FORMAT, problem_from_scenario
from trunkline.streaming import StreamingPlan, StreamingProblem
from trunkline.streaming import document as streaming_document
from trunkline.streaming.plan import FORMAT as STREAMING_PLAN

Problem = LoadingProblem | PullingProblem | StreamingProblem
Plan = LoadingPlan | PullingPlan | StreamingPlan
P = TypeVar("P", LoadingProblem, PullingProblem, StreamingProblem)
Q = TypeVar("Q", LoadingPlan, PullingPlan, StreamingPlan)
Source = str | Path | Mapping[str, Any]
"""A document: the path of its file, or its content."""


@dataclass(frozen=True)
class Planner:
    """What one kind of problem needs.

    Attributes:
        kind: its name: `loading`, `pulling`, ...
        problem, plan: the types of its problems and plans.
        problems: by format, what makes a problem of a document; the canonical format comes first,
            and others may be compiled to it.
        plan_format, plan_of: the format of its plans, and what makes a plan of a document.
        solve: `(problem, method, **options) -> plan`, `method` with a default.
        check: `(problem, plan, **options) -> violations`.
    """

    kind: str
    problem: type[Any]
    plan: type[Any]
    problems: Mapping[str, Callable[[Raw], Any]]
    to_document: Callable[[Any], dict[str, Any]]
    plan_format: str
    plan_of: Callable[[Raw], Any]
    solve: Callable[..., Any]
    check: Callable[..., list[str]]


PLANNERS = (
    Planner(
        kind="loading",
        problem=LoadingProblem,
        plan=LoadingPlan,
        problems={loading_document.PROBLEM_FORMAT: loading_document.problem_from_document},
        to_document=loading_document.problem_to_document,
        plan_format=LOADING_PLAN,
        plan_of=loading_document.plan_from_document,
        solve=loading.solve,
        check=loading.check,
    ),
    Planner(
        kind="pulling",
        problem=PullingProblem,
        plan=PullingPlan,
        problems={
            pulling_document.PROBLEM_FORMAT: pulling_document.problem_from_document,
            SCENARIO_FORMAT: problem_from_scenario,
        },
        to_document=pulling_document.problem_to_document,
        plan_format=PULLING_PLAN,
        plan_of=pulling_document.plan_from_document,
        solve=pulling.solve,
        check=pulling.check,
    ),
    Planner(
        kind="streaming",
        problem=StreamingProblem,
        plan=StreamingPlan,
        problems={streaming_document.PROBLEM_FORMAT: streaming_document.problem_from_document},
        to_document=streaming_document.problem_to_document,
        plan_format=STREAMING_PLAN,
        plan_of=streaming_document.plan_from_document,
        solve=streaming.solve,
        check=streaming.check,
    ),
)
"""Every planner; another is added here and to the types above."""


def planner_of(problem: Problem) -> Planner:
    """The planner for a problem.

    Raises:
        PlanningError: it is no problem of any.
    """
    for planner in PLANNERS:
        if isinstance(problem, planner.problem):
            return planner
    kinds = ", ".join(planner.problem.__name__ for planner in PLANNERS)
    raise PlanningError(f"expected a problem ({kinds}), got {problem!r:.80}")


@overload
def load(source: Source) -> Problem: ...
@overload
def load(source: Source, wanted: type[P]) -> P: ...
def load(source: Source, wanted: type[Any] | None = None) -> Any:
    """The problem that a document states.

    Args:
        source: the path of a JSON or YAML file, or the document as a dict.
        wanted: the type of problem that is expected; None takes any planner's.

    Raises:
        DocumentError: the document cannot be used; the message names the path inside it.
    """
    raw = read(source)
    makers = {
        name: make
        for planner in PLANNERS
        if wanted in (None, planner.problem)
        for name, make in planner.problems.items()
    }
    return makers[require_format(raw, *makers)](raw)


@overload
def load_plan(source: Source) -> Plan: ...
@overload
def load_plan(source: Source, wanted: type[Q]) -> Q: ...
def load_plan(source: Source, wanted: type[Any] | None = None) -> Any:
    """The plan that a document states, of any planner or of the type wanted (DocumentError where it
    states none)."""
    raw = read(source)
    makers = {p.plan_format: p.plan_of for p in PLANNERS if wanted in (None, p.plan)}
    return makers[require_format(raw, *makers)](raw)


@overload
def plan(problem: LoadingProblem, method: str | None = None, **options: Any) -> LoadingPlan: ...
@overload
def plan(problem: PullingProblem, method: str | None = None, **options: Any) -> PullingPlan: ...
@overload
def plan(problem: StreamingProblem, method: str | None = None, **options: Any) -> StreamingPlan: ...
def plan(problem: Problem, method: str | None = None, **options: Any) -> Plan:
    """A plan for a problem, by the named method (None: the planner's default); options are the
    method's own, and for loading and streaming `margin`, the share of the deadlines that the plan
    leaves for surprises.

    Raises:
        UnknownMethodError: no such method or option.
        UnsupportedProblemError: the method does not cover this problem.
    """
    planner = planner_of(problem)
    named = {} if method is None else {"method": method}
    found: Plan = planner.solve(problem, **named, **options)
    return found


def check(problem: Problem, plan: Plan | Mapping[str, Any], **options: Any) -> list[str]:
    """The violations of a plan, from anywhere (a plan or a plan document); empty if it holds.

    Raises:
        PlanningError: it is the plan of another kind of problem, or an option that the checker of
            this kind does not have.
    """
    planner = planner_of(problem)
    stated = load_plan(plan) if isinstance(plan, Mapping) else plan
    if not isinstance(stated, planner.plan):
        wanted = planner.plan.__name__
        raise PlanningError(f"a {planner.kind} problem takes a {wanted}, got {stated!r:.80}")
    if unknown := sorted(set(options) - set(options_of(planner.check))):
        raise PlanningError(f"checking a {planner.kind} plan takes no option {unknown[0]!r}")
    return planner.check(problem, stated, **options)

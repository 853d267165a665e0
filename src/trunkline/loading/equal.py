"""`equal`: fixed sub-channels of equal width instead of optimal shares (PartialLoading, VII-D).

The band is cut into r sub-channels of B/r, one user each, so a batch has at most r tasks and its
upload lasts as long as its slowest one, D_k/(B/r R_k). That is the reading "max" of a problem with
an r-th of the band, so every planner of that reading plans for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from trunkline.errors import InputError
from trunkline.loading.greedy import greedy
from trunkline.loading.optimal import optimal
from trunkline.loading.paper import Variant, paper
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import plan_of

Planner = Literal["optimal", "greedy", "paper"]

_PLANNERS: Mapping[Planner, tuple[Callable[..., LoadingPlan], tuple[str, ...]]] = {
    "optimal": (optimal, ()),
    "greedy": (greedy, ("slot_s",)),
    "paper": (paper, ("slot_s", "variant")),
}
"""The planners that may choose the tasks, and which of the options below they have."""


def equal(
    problem: LoadingProblem,
    *,
    channels: int = 10,
    planner: Planner = "optimal",
    slot_s: float | None = None,
    variant: Variant | None = None,
) -> LoadingPlan:
    """The plan of a planner that has r sub-channels; each task of a batch gets 1/r of the band.

    The bound is for the problem as stated, where shares are free. There is no `upload` option: on
    sub-channels of their own, "sum" and "max" are one reading.

    Args:
        channels: r, how many sub-channels there are (the paper has 5, 10 and 20).
        planner: what chooses tasks and order: "optimal" (no slots), "greedy" (Algorithm 3) or
            "paper" (Algorithms 1 and 2).
        slot_s, variant: options of "greedy" and "paper", where given.

    Raises:
        InputError: no channel, an unknown planner, or an option that the planner does not have.
        UnsupportedProblemError: the problem has arrivals, own deadlines, a memory budget or
            resident blocks; or the planner refuses it.
    """
    if channels < 1:
        raise InputError(f"channels: at least 1, got {channels}")
    if planner not in _PLANNERS:
        raise InputError(f"planner: one of {', '.join(_PLANNERS)}, got {planner!r}")
    plain = problem.plain_for("equal")
    function, has = _PLANNERS[planner]
    given: dict[str, Any] = {"slot_s": slot_s, "variant": variant}
    options = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(set(options) - set(has)):
        raise InputError(f"{unknown[0]}: planner {planner!r} has no such option")
    planned = function(_on_channels(plain, channels), upload="max", **options)
    batches = tuple(
        replace(batch, shares=(1.0 / channels,) * len(batch.tasks)) for batch in planned.batches
    )
    return plan_of(problem, "equal", batches, bound=servable_bound(problem))


def _on_channels(problem: LoadingProblem, channels: int) -> LoadingProblem:
    """The problem in which each task has an r-th of the band and a batch has at most r tasks."""
    return replace(
        problem,
        bandwidth_hz=problem.bandwidth_hz / channels,
        models=tuple(replace(m, max_batch=min(m.max_batch, channels)) for m in problem.models),
    )

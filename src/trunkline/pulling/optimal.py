"""`optimal`: the problem as an integer linear programme with aggregated rows, solved by HiGHS.

Derived; the programme stands in `programme.py`, and what is left out of it in `reduced.py`. Its
least cost is that of the definition in `exhaustive.py`: pulling costs 0 or more, so y_bc takes the
least value that its rows allow, which is 1 where a chosen option needs the block, and storage asks
for the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trunkline.pulling.costs import Chosen, cost_of, plan_of, simple_bound
from trunkline.pulling.greedy import greedy_choice
from trunkline.pulling.lists import Floats, Ints
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import TOLERANCE, PullingProblem
from trunkline.pulling.programme import Programme
from trunkline.pulling.reduced import DATA_CENTRE, Reduced, options_of, reduce, scaled
from trunkline.timing import TimeLimit

TIME_LIMIT_S = 60.0
"""How long HiGHS may take by default."""

ABSOLUTE_GAP = 1e-7
"""HiGHS stops at this gap, in units of a bound on the cost: a tenth of `PROOF_TOLERANCE`."""

SPREAD = 1e6
"""Costs are counted in units of a bound on their sum, but of no less than one in so many of the
largest, or the rest would be lost in HiGHS's tolerances."""


def optimal(problem: PullingProblem, *, time_limit_s: float | None = TIME_LIMIT_S) -> PullingPlan:
    """The plan that HiGHS finds, starting from that of `greedy`, over the bound that it proves (one
    thread, a fixed seed). It is `proven` only where the two meet, up to `PROOF_TOLERANCE`.

    Args:
        time_limit_s: after so many seconds the best plan so far is returned, with the bound so far;
            None is no limit.
    """
    chosen, bound = best_choices(problem, TimeLimit(time_limit_s))
    return plan_of(problem, "optimal", chosen, bound=bound)


def best_choices(problem: PullingProblem, limit: TimeLimit) -> tuple[Chosen, float]:
    """The best choices found within the limit, and a cost that no choices are below."""
    reduced = reduce(problem)
    start = greedy_choice(reduced)
    chosen, floor = options_of(reduced, start), simple_bound(problem)
    if not reduced.named:
        return chosen, float(reduced.fallback.sum())  # no option is any better
    if limit.is_up:
        return chosen, floor
    asked = np.unique(reduced.option_request)
    fixed = float(reduced.fallback.sum() - reduced.fallback[asked].sum())  # without options
    scale = max(floor - fixed, float(reduced.fallback[asked].max()) / SPREAD)
    values, bound = _solve(scaled(reduced, scale), start, limit)
    found = options_of(reduced, _feasible(reduced, values))
    chosen = min(chosen, found, key=lambda one: cost_of(problem, one))
    return chosen, max(floor, bound * scale + fixed)


def _solve(reduced: Reduced, start: Ints, limit: TimeLimit) -> tuple[Floats, float]:
    """The columns of the best solution found, and the bound; (not feasible ones, if none was)."""
    import highspy

    solver: Any = Programme.whole(reduced).solver(integer=True)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", ABSOLUTE_GAP)
    for tolerance in ("primal_feasibility_tolerance", "mip_feasibility_tolerance"):
        solver.setOptionValue(tolerance, TOLERANCE)  # as the plan's, else it may not hold
    if math.isfinite(limit.left_s):
        solver.setOptionValue("time_limit", limit.left_s)
    first = highspy.HighsSolution()
    first.col_value = _columns(reduced, start)
    solver.setSolution(first)
    solver.run()
    info = solver.getInfo()
    bound = info.mip_dual_bound + float(reduced.fallback.sum())
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return np.asarray(first.col_value), bound if math.isfinite(bound) else 0.0
    return np.array(solver.getSolution().col_value), bound if math.isfinite(bound) else 0.0


def _columns(reduced: Reduced, choice: Ints) -> Floats:
    """A choice as the programme's columns."""
    chosen = np.zeros(len(reduced.named))
    chosen[choice[choice != DATA_CENTRE]] = 1.0
    pulled = np.zeros(reduced.unit_cost.size)
    for bundle in np.unique(reduced.option_bundle[chosen > 0]).tolist():
        pulled[reduced.bundle_units[bundle]] = 1.0
    return np.concatenate((chosen, pulled))


def _feasible(reduced: Reduced, values: Floats) -> Ints:
    """The choice that columns mean; at a site where HiGHS's tolerance is not ours, requests go to
    the data centre, the last first, until they fit."""
    choice = np.full(reduced.fallback.size, DATA_CENTRE, dtype=np.int64)
    chosen = np.flatnonzero(values[: len(reduced.named)] > 0.5)
    choice[reduced.option_request[chosen]] = chosen
    for site in range(reduced.storage.size):
        while not _fits(reduced, choice, site):
            here = [r for r, o in enumerate(choice) if o >= 0 and reduced.option_site[o] == site]
            choice[here[-1]] = DATA_CENTRE
    return choice


def _fits(reduced: Reduced, choice: Ints, site: int) -> bool:
    """Whether what a choice stores and computes at a site is within its limits."""
    chosen = choice[choice != DATA_CENTRE]
    chosen = chosen[reduced.option_site[chosen] == site]
    bundles = [reduced.bundle_units[int(k)] for k in np.unique(reduced.option_bundle[chosen])]
    units = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *bundles]))
    stored, load = reduced.unit_size[units].sum(), reduced.option_compute[chosen].sum()
    room, speed = reduced.storage[site], reduced.compute[site]
    return bool(stored <= room * (1 + TOLERANCE) and load <= speed * (1 + TOLERANCE))

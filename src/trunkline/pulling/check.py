"""Whether a pulling plan holds: every cost and limit recomputed from the definitions.

The definitions are those of `problem.py`. This file shares no code with any solver: it reads the
problem's plain data and the plan, nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import Option, PullingProblem

RELATIVE = 2e-9
"""Figures agree, and limits hold, up to this relative difference: twice what planners allow
themselves, so that rounding never refuses a plan that just meets a limit."""

PROVEN = 2e-6
"""A plan is proven when its bound is at most this much below its cost, relatively."""


def check(problem: PullingProblem, plan: PullingPlan) -> list[str]:
    """The violations of a plan, one sentence each; empty if the plan holds.

    What must hold: every request of the problem is chosen for exactly once, by one of its options
    or the data centre; every block that a chosen option needs is resident at its site or pulled to
    it; no block is pulled twice to a site, or to where it is resident; the bytes pulled to a site
    fit its storage and the chosen options its compute; the cost is that of the choices and of all
    pulls (a plan may pull more than it must, and pays for it); the bound is not above the cost, and
    meets it where the plan says that it is proven.
    """
    if faults := list(_not_finite(plan)):
        return faults
    return list(_violations(problem, plan))


def _not_finite(plan: PullingPlan) -> Iterator[str]:
    """Figures that are no finite number; with one of them nothing else can be judged."""
    for name, value in (("cost", plan.cost), ("bound", plan.bound)):
        if not math.isfinite(value):
            yield f"{name} is {value}"


def _violations(problem: PullingProblem, plan: PullingPlan) -> Iterator[str]:
    chosen, costs, faults = _choices(problem, plan)
    yield from faults
    pulled = {site.id: Counter[str]() for site in problem.sites}
    for n, pull in enumerate(plan.pulls):
        if pull.site not in pulled:
            yield f"pulls[{n}]: no site {pull.site!r}"
        elif pull.block not in problem.blocks:
            yield f"pulls[{n}]: no block {pull.block!r}"
        else:
            pulled[pull.site][pull.block] += 1
    for n, option in chosen:
        there = next(site.resident for site in problem.sites if site.id == option.site)
        for block in sorted(set(option.blocks)):
            if block not in there and not pulled[option.site][block]:
                yield f"choices[{n}]: block {block!r} is neither at {option.site!r} nor pulled"
    yield from _sites(problem, [option for _, option in chosen], pulled)
    for site in problem.sites:
        costs += [site.pull_cost.get(b, 0.0) * times for b, times in pulled[site.id].items()]
    yield from _totals(plan, math.fsum(costs))


def _choices(
    problem: PullingProblem, plan: PullingPlan
) -> tuple[list[tuple[int, Option]], list[float], list[str]]:
    """The chosen options with their places in the plan, the choices' costs, and what is wrong."""
    requests = {request.id: request for request in problem.requests}
    chosen: list[tuple[int, Option]] = []
    costs: list[float] = []
    faults: list[str] = []
    first: dict[str, int] = {}
    for n, choice in enumerate(plan.choices):
        name = choice.request
        if name not in requests:
            faults.append(f"choices[{n}]: no request {name!r}")
            continue
        if name in first:
            faults.append(
                f"choices[{n}]: request {name!r} is already that of choices[{first[name]}]"
            )
            continue
        first[name] = n
        if choice.site is None and choice.model is None:
            costs.append(requests[name].fallback_cost)
            continue
        pair = (choice.site, choice.model)
        meant = [o for o in requests[name].options if (o.site, o.model) == pair]
        if not meant:
            what = f"site {choice.site!r} and model {choice.model!r}"
            faults.append(f"choices[{n}]: request {name!r} has no option of {what}")
        for option in meant:
            chosen.append((n, option))
            costs.append(option.cost)
    faults += [f"no choice for request {name!r}" for name in requests if name not in first]
    return chosen, costs, faults


def _sites(
    problem: PullingProblem, chosen: list[Option], pulled: dict[str, Counter[str]]
) -> Iterator[str]:
    """Whether what is pulled to each site and computed there fits."""
    for site in problem.sites:
        for block, times in sorted(pulled[site.id].items()):
            if times > 1:
                yield f"site {site.id!r}: block {block!r} is pulled {times} times"
            if block in site.resident:
                yield f"site {site.id!r}: block {block!r} is pulled, but resident"
        stored = math.fsum(problem.blocks[b] * times for b, times in pulled[site.id].items())
        if stored > site.storage_bytes * (1 + RELATIVE):
            yield (
                f"site {site.id!r}: {stored:.12g} bytes are pulled, over its storage of "
                f"{site.storage_bytes:.12g}"
            )
        work = math.fsum(option.compute for option in chosen if option.site == site.id)
        if work > site.compute * (1 + RELATIVE):
            yield f"site {site.id!r}: compute of {work:.12g}, over its {site.compute:.12g}"


def _totals(plan: PullingPlan, cost: float) -> Iterator[str]:
    if not math.isclose(plan.cost, cost, rel_tol=RELATIVE):
        yield f"cost is {plan.cost:.12g}, recomputed {cost:.12g}"
    if plan.bound > plan.cost * (1 + RELATIVE):
        yield f"bound is {plan.bound:.12g}, above the cost {plan.cost:.12g}"
    if plan.proven and plan.bound < plan.cost * (1 - PROVEN):
        yield f"proven, but bound {plan.bound:.12g} and cost {plan.cost:.12g} differ"

"""What choices cost and pull, a bound below any plan's cost, and plans made of choices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from trunkline.pulling.plan import Choice, Pull, PullingPlan
from trunkline.pulling.problem import Option, PullingProblem

PROOF_TOLERANCE = 1e-6
"""A cost is proved to be the least when the bound is at most this much below it, relatively."""

Chosen = Sequence[Option | None]
"""The option that serves each request, in the problem's order; None is the data centre."""


def missing_blocks(problem: PullingProblem, chosen: Chosen) -> dict[str, set[str]]:
    """The blocks that the chosen options lack at each site: what has to be pulled there."""
    pulled: dict[str, set[str]] = {site.id: set() for site in problem.sites}
    for option in chosen:
        if option is not None:
            pulled[option.site] |= problem.missing(option)
    return pulled


def cost_of(problem: PullingProblem, chosen: Chosen) -> float:
    """The objective: the chosen options' costs, and every missing (site, block)'s pull cost."""
    pulled = missing_blocks(problem, chosen)
    own = [
        request.fallback_cost if option is None else option.cost
        for request, option in zip(problem.requests, chosen, strict=True)
    ]
    pulls = [site.pull_cost.get(block, 0.0) for site in problem.sites for block in pulled[site.id]]
    return math.fsum(own + pulls)


def simple_bound(problem: PullingProblem) -> float:
    """A bound that no plan's cost is below, without solving anything (derived).

    Let n_bc be the number of requests with an option that lacks block b at site c. A plan that
    pulls it does so for at most n_bc requests, so each of them can be charged p_bc/n_bc:

        sum over requests of the least of fallback_cost and a_ro + sum over b of p_bc/n_bc

    This is a solution of the dual of the linear relaxation without storage and compute.
    """
    users: Counter[tuple[str, str]] = Counter()
    for request in problem.requests:
        users.update({(o.site, block) for o in request.options for block in problem.missing(o)})
    share = {
        (site.id, block): cost / users[site.id, block]
        for site in problem.sites
        for block, cost in site.pull_cost.items()
        if users[site.id, block]
    }

    def charged(option: Option) -> float:
        site = option.site
        parts = (share.get((site, block), 0.0) for block in sorted(problem.missing(option)))
        return option.cost + math.fsum(parts)

    return math.fsum(
        min([request.fallback_cost, *map(charged, request.options)]) for request in problem.requests
    )


def plan_of(
    problem: PullingProblem, method: str, chosen: Chosen, *, bound: float | None = None
) -> PullingPlan:
    """The plan that makes these choices and pulls exactly what they lack (`solve_s` is 0).

    Args:
        chosen: for each request one of its options, or None for the data centre.
        bound: proved: no plan costs less; None takes `simple_bound`, which also stands in for a
            weaker one.
    """
    pulled = missing_blocks(problem, chosen)
    cost = cost_of(problem, chosen)
    proved = min(cost, max(simple_bound(problem), 0.0 if bound is None else bound))
    return PullingPlan(
        method=method,
        cost=cost,
        bound=proved,
        proven=cost - proved <= PROOF_TOLERANCE * cost,
        solve_s=0.0,
        choices=tuple(
            Choice(request.id, None, None)
            if option is None
            else Choice(request.id, option.site, option.model)
            for request, option in zip(problem.requests, chosen, strict=True)
        ),
        pulls=tuple(
            Pull(site.id, block) for site in problem.sites for block in sorted(pulled[site.id])
        ),
    )

"""`exhaustive`: brute force over the definition of the problem, for tests and tiny cases.

The definition is the NLIP of Common Knowledge, as derived here, and it stands in `objective` alone.
With x_o in {0, 1}, one option or the data centre for every request, and

    y_bc = 1 - product of (1 - x_o) over the options o at site c whose models hold block b

which is 1 where some chosen option needs the block there,

    minimise  sum of a_o x_o  +  sum of p_bc y_bc over the b that are not resident at c
    storage   sum of s_b y_bc over the b that are not resident at c  <= S_c
    compute   sum of w_o x_o over the o at c                         <= W_c

Nothing is linearised, merged or bounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.costs import plan_of
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import TOLERANCE, Option, PullingProblem

MAX_PLANS = 100_000
"""More ways to choose than this are refused."""


def exhaustive(problem: PullingProblem) -> PullingPlan:
    """A plan that provably costs least: every way to choose is tried. Of equal ones the first, in
    the order of the requests' options with the data centre before them.

    Raises:
        UnsupportedProblemError: there are more than `MAX_PLANS` ways to choose.
    """
    ways = math.prod(1 + len(request.options) for request in problem.requests)
    if ways > MAX_PLANS:
        told = f"{ways:,}" if ways < 10**15 else f"over 10^{len(str(ways)) - 1}"
        raise UnsupportedProblemError(
            f"'exhaustive' tries at most {MAX_PLANS:,} ways to choose, the problem has {told}; "
            "use 'optimal'"
        )
    every = product(*((None, *request.options) for request in problem.requests))
    least, best = math.inf, None
    for chosen in every:
        cost = objective(problem, chosen)
        if cost < least:
            least, best = cost, chosen
    assert best is not None  # all at the data centre is always possible
    return plan_of(problem, "exhaustive", best, bound=least)


def objective(problem: PullingProblem, chosen: Sequence[Option | None]) -> float:
    """What choices cost by the definition above; infinite where they break a limit."""
    total = math.fsum(
        request.fallback_cost if option is None else option.cost
        for request, option in zip(problem.requests, chosen, strict=True)
    )
    for site in problem.sites:
        here = [option for option in chosen if option is not None and option.site == site.id]
        if math.fsum(option.compute for option in here) > site.compute * (1 + TOLERANCE):
            return math.inf
        pulled = [
            block
            for block in problem.blocks
            if block not in site.resident and any(block in option.blocks for option in here)
        ]
        stored = math.fsum(problem.blocks[block] for block in pulled)
        if stored > site.storage_bytes * (1 + TOLERANCE):
            return math.inf
        total += math.fsum(site.pull_cost.get(block, 0.0) for block in pulled)
    return total

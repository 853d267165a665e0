"""R5 of the rounding, second half: improve feasible choices by small moves. [derived]

A move is made only if the choices stay feasible and cost less:

- one request takes another option, or goes to the data centre;
- a bundle is opened at a site, and the requests that gain take it, those that gain most per unit of
  compute first, as far as compute lasts;
- a unit is closed: each request that uses it takes its cheapest option that is open and has compute
  left, or goes to the data centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.pulling.assignment import Assignment
from trunkline.pulling.lists import totals
from trunkline.pulling.reduced import DATA_CENTRE
from trunkline.timing import TimeLimit

LEAST_GAIN = 1e-9
"""A move gains at least this share of the cost; less is rounding."""


TINY = 1e-30
"""Stands for a compute of 0 where a gain is divided by it."""


def improve(plan: Assignment, limit: TimeLimit) -> None:
    """Make moves until none gains, or the limit is up."""
    while not limit.is_up:
        before = plan.cost
        move_requests(plan, limit)
        _open_bundles(plan, limit)
        _close_units(plan, limit)
        if plan.cost >= before * (1 - LEAST_GAIN):
            return


def move_requests(plan: Assignment, limit: TimeLimit) -> None:
    """Make moves of one request, the largest gains first, until none gains."""
    reduced = plan.reduced
    while not limit.is_up:
        gain = _gains(plan)
        gain[~_fits(plan)] = -np.inf
        moved = False
        for request, option in _best_of_each(plan, gain):
            moved |= try_moves(plan, [(request, option)])
        leaving = reduced.fallback - plan.request_cost - plan.own_cost()
        for request in np.flatnonzero(leaving < -LEAST_GAIN * plan.cost).tolist():
            moved |= try_moves(plan, [(request, DATA_CENTRE)])
        if not moved:
            return


def _gains(plan: Assignment) -> NDArray[np.float64]:
    """(o) what a request gains by each option, if no unit that it alone uses is needed on."""
    reduced = plan.reduced
    now = plan.request_cost + plan.own_cost()
    then = reduced.option_cost + plan.missing_cost()[reduced.option_bundle]
    return now[reduced.option_request] - then


def _fits(plan: Assignment) -> NDArray[np.bool_]:
    """(o) whether there is room for each option, without counting what the request would free."""
    reduced = plan.reduced
    stores = plan.stored[reduced.bundle_site] + plan.missing_size()
    stored = stores <= plan.most_stored[reduced.bundle_site]
    load = plan.load[reduced.option_site] + reduced.option_compute
    return stored[reduced.option_bundle] & (load <= plan.most_load[reduced.option_site])


def _best_of_each(plan: Assignment, gain: NDArray[np.float64]) -> list[tuple[int, int]]:
    """For each request that may gain the option that gains most, the largest gain first."""
    reduced = plan.reduced
    candidates = np.flatnonzero(gain > LEAST_GAIN * plan.cost)
    candidates = candidates[np.argsort(-gain[candidates], kind="stable")]
    requests, first = np.unique(reduced.option_request[candidates], return_index=True)
    order = np.argsort(first, kind="stable")
    return list(zip(requests[order].tolist(), candidates[first[order]].tolist(), strict=True))


def try_moves(plan: Assignment, moves: list[tuple[int, int]]) -> bool:
    """Make moves (request, option) together if that is feasible and gains; else change nothing."""
    before = plan.cost
    old = [(request, int(plan.choice[request])) for request, _ in moves]
    for request, option in moves:
        plan.choose(request, option)
    if plan.cost < before * (1 - LEAST_GAIN) and plan.is_feasible:
        return True
    for request, option in old:
        plan.choose(request, option)
    return False


def _open_bundles(plan: Assignment, limit: TimeLimit) -> None:
    """Open bundles, those first that look best, each weighed once."""
    reduced = plan.reduced
    gain = np.maximum(plan.request_cost[reduced.option_request] - reduced.option_cost, 0.0)
    worth = totals(reduced.option_bundle, gain, reduced.bundle_site.size)
    worth -= plan.missing_cost()
    for k in np.argsort(-worth, kind="stable").tolist():
        if worth[k] <= 0 or limit.is_up:
            return
        try_moves(plan, takers(plan, k))


def takers(plan: Assignment, bundle: int) -> list[tuple[int, int]]:
    """The moves of the requests that gain by an open bundle, as far as compute lasts."""
    reduced = plan.reduced
    options = reduced.bundle_options[bundle]
    requests = reduced.option_request[options]
    gain = plan.request_cost[requests] - reduced.option_cost[options]
    site = int(reduced.bundle_site[bundle])
    work = reduced.option_compute[options]
    left = float(plan.most_load[site] - plan.load[site])
    moves: dict[int, int] = {}
    for i in np.argsort(-gain / np.maximum(work, TINY), kind="stable").tolist():
        if gain[i] > 0 and work[i] <= left and int(requests[i]) not in moves:
            moves[int(requests[i])] = int(options[i])
            left -= float(work[i])
    return list(moves.items())


def _close_units(plan: Assignment, limit: TimeLimit) -> None:
    """Close units, each weighed once."""
    for unit in np.flatnonzero(plan.open).tolist():
        if limit.is_up:
            return
        if plan.users[unit]:
            try_moves(plan, _leavers(plan, unit))


def _leavers(plan: Assignment, unit: int) -> list[tuple[int, int]]:
    """The moves of the requests that use a unit to the cheapest that is open without it."""
    reduced = plan.reduced
    usable = plan.bundle_is_open()
    usable[reduced.unit_bundles[unit]] = False
    left = plan.most_load - plan.load
    moves = []
    for request in plan.users_of(unit).tolist():
        options = reduced.request_options[request]
        fits = usable[reduced.option_bundle[options]]
        fits &= reduced.option_compute[options] <= left[reduced.option_site[options]]
        fits &= reduced.option_cost[options] < reduced.fallback[request]
        options = options[fits]
        if not options.size:
            moves.append((request, DATA_CENTRE))
            continue
        option = int(options[np.argmin(reduced.option_cost[options])])
        left[reduced.option_site[option]] -= reduced.option_compute[option]
        moves.append((request, option))
    return moves

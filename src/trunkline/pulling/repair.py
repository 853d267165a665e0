"""R5 of the rounding, first half: make any choices feasible. [derived]

Requests go to the data centre until every site's storage and compute suffice. First by storage: of
the units of a site that holds too much, the one is closed (all requests that use it leave) that
loses the least cost per byte by which the site comes nearer to its limit. Then by compute: the
request leaves that loses the least cost per unit of compute.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.assignment import Assignment
from trunkline.pulling.lists import Ints
from trunkline.pulling.reduced import DATA_CENTRE


def repair(plan: Assignment) -> None:
    """Make the choices feasible by sending requests to the data centre."""
    for c in np.flatnonzero(plan.stored > plan.most_stored).tolist():
        while plan.stored[c] > plan.most_stored[c]:
            for request in _least_loss_per_byte(plan, c).tolist():
                plan.choose(request, DATA_CENTRE)
    for c in np.flatnonzero(plan.load > plan.most_load).tolist():
        for request in _by_loss_per_compute(plan, c).tolist():
            if plan.load[c] <= plan.most_load[c]:
                break
            plan.choose(request, DATA_CENTRE)


def _least_loss_per_byte(plan: Assignment, c: int) -> Ints:
    """The users of the unit of site c that is closed at the least loss per byte of the excess."""
    reduced = plan.reduced
    excess = float(plan.stored[c] - reduced.storage[c])
    found, least = np.empty(0, dtype=np.int64), np.inf
    for u in np.flatnonzero(plan.open & (reduced.unit_site == c)).tolist():
        users = plan.users_of(u)
        options = plan.choice[users]
        units = np.concatenate([reduced.bundle_units[k] for k in reduced.option_bundle[options]])
        used, times = np.unique(units, return_counts=True)
        closed = used[times == plan.users[used]]
        size = min(float(reduced.unit_size[closed].sum()), excess)
        loss = float((reduced.fallback[users] - reduced.option_cost[options]).sum())
        loss -= float(reduced.unit_cost[closed].sum())
        if size > 0 and loss / size < least:
            found, least = users, loss / size
    return found


def _by_loss_per_compute(plan: Assignment, c: int) -> Ints:
    """The requests at site c that take compute, the least loss per compute first."""
    reduced = plan.reduced
    served = np.flatnonzero(plan.choice != DATA_CENTRE)
    options = plan.choice[served]
    here = (reduced.option_site[options] == c) & (reduced.option_compute[options] > 0)
    requests, options = served[here], options[here]
    loss = reduced.fallback[requests] - reduced.option_cost[options]
    order: Ints = np.argsort(loss / reduced.option_compute[options], kind="stable")
    ordered: Ints = requests[order]
    return ordered

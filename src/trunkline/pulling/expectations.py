"""R4 of the rounding: R1 without chance, by conditional expectations. [derived]

Requests choose one after the other. Each takes the option (of those that R1 may draw) for which the
expected cost is least, given the choices before it, if those after it were drawn as in R1. The
expectation never rises, so the cost is at most E[cost] of R1. With rest_u, the probability that no
later request draws an option that needs u, a choice of o adds

    a_o  +  sum over the units u of o that no earlier request uses of p_u rest_u
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.draws import DAMPING
from trunkline.pulling.lists import Floats, Ints
from trunkline.pulling.reduced import DATA_CENTRE, Reduced
from trunkline.pulling.relaxation import shares


def derandomise(reduced: Reduced, x: Floats, eta: float = DAMPING) -> Ints:
    """(r) the options chosen, requests in the order of the problem."""
    q = (1.0 - eta) * x
    request, unit, share = shares(reduced, q)
    rests = _rests(reduced, request, unit, share)
    starts = np.searchsorted(request, np.arange(reduced.fallback.size + 1)).tolist()
    price = reduced.unit_cost.copy()  # of what is not used yet
    expected = np.zeros(price.size)
    choice = np.full(reduced.fallback.size, DATA_CENTRE, dtype=np.int64)
    for r in range(choice.size):
        options = reduced.request_options[r]
        part = slice(starts[r], starts[r + 1])
        expected[unit[part]] = price[unit[part]] * rests[part]
        least = float(reduced.fallback[r])
        for o in options[q[options] > 0].tolist():
            units = reduced.bundle_units[int(reduced.option_bundle[o])]
            cost = float(reduced.option_cost[o] + expected[units].sum())
            if cost < least:
                choice[r], least = o, cost
        if choice[r] != DATA_CENTRE:
            price[reduced.bundle_units[int(reduced.option_bundle[choice[r]])]] = 0.0
    return choice


def _rests(reduced: Reduced, request: Ints, unit: Ints, share: Floats) -> Floats:
    """For each pair (request, unit) the probability that no later request uses the unit."""
    rest = np.ones(reduced.unit_cost.size)
    rests = np.ones(unit.size)
    for i in range(unit.size - 1, -1, -1):
        rests[i] = rest[unit[i]]
        rest[unit[i]] *= 1.0 - share[i]
    return rests

"""R3 of the rounding: each site draws one threshold for all its blocks. [derived]

Let A_r be what request r costs in the relaxation, without pulls. It keeps the ways to serve it (the
data centre is one) that cost at most (1 + eps) A_r; by Markov's inequality they have a share of
eps / (1 + eps) at least. In each phase every site c draws theta_c uniformly from (0, 1] and opens
its units with y_u >= theta_c; a request without a choice takes its cheapest kept way that is open.
With kappa, the most options that a request has at one site, all are served within

    T = ceil(kappa (1 + 1/eps) ln(|R| / delta))

phases with probability 1 - delta at least: without storage and compute, O(kappa log |R|) times the
relaxation is expected. Who is left then goes to the data centre. One threshold for all blocks of a
site opens what models share together with what they have alone; independent draws do not.
"""

from __future__ import annotations

import math

import numpy as np

from trunkline.pulling.lists import Floats, Ints, totals
from trunkline.pulling.reduced import DATA_CENTRE, Reduced
from trunkline.pulling.relaxation import Relaxation

EPSILON = 0.5
"""eps by default."""

FAILURE = 0.1
"""delta: the probability that some request is left."""


def phases(reduced: Reduced, epsilon: float = EPSILON, delta: float = FAILURE) -> int:
    """T; 0 without requests."""
    requests, sites = reduced.fallback.size, max(reduced.storage.size, 1)
    if not requests:
        return 0
    pairs = np.bincount(reduced.option_request * sites + reduced.option_site, minlength=1)
    kappa = max(int(pairs.max()), 1)
    return math.ceil(kappa * (1 + 1 / epsilon) * math.log(requests / delta))


def by_thresholds(
    relaxation: Relaxation, rng: np.random.Generator, epsilon: float = EPSILON
) -> Ints:
    """(r) the options chosen. One uniform number is drawn for each site and phase."""
    reduced, x = relaxation.reduced, relaxation.x
    count = reduced.fallback.size
    share = totals(reduced.option_request, x, count)
    mean = totals(reduced.option_request, x * reduced.option_cost, count)
    most = (1 + epsilon) * (mean + (1.0 - share) * reduced.fallback)
    choice = np.full(count, DATA_CENTRE, dtype=np.int64)
    waits = reduced.fallback > most
    by_cost = np.lexsort((reduced.option_cost, reduced.option_request))
    by_cost = by_cost[(reduced.option_cost <= most[reduced.option_request])[by_cost]]
    least_y = _least_y(reduced, relaxation.y)
    for _ in range(phases(reduced, epsilon)):
        if not waits.any():
            break
        theta = 1.0 - rng.random(reduced.storage.size)
        opened = least_y[reduced.option_bundle] >= theta[reduced.option_site]
        usable = by_cost[opened[by_cost] & waits[reduced.option_request[by_cost]]]
        request, first = np.unique(reduced.option_request[usable], return_index=True)
        choice[request] = usable[first]
        waits[request] = False
    return choice


def _least_y(reduced: Reduced, y: Floats) -> Floats:
    """(k) the least y of the units of each bundle; 1 for one without units."""
    least = np.ones(reduced.bundle_site.size)
    np.minimum.at(least, reduced.bundle_units.owner, y[reduced.bundle_units.items])
    return least

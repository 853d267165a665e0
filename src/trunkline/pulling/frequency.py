"""R2 of the rounding: each request's cheapest option among those with a fair share. [derived]

Let f_r be the number of ways with x > 0 to serve request r, the data centre being one where the
options' sum is below 1. Some way has x >= 1/f_r; the request takes the cheapest (by a_o) of those.
Then x is raised at most f = max f_r times, y with it, and so are cost, storage and compute:
cost <= f * that of the relaxation. Where the relaxation had limits S/g and W/g, and f <= g, the
choices are feasible.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.lists import Floats, Ints, totals
from trunkline.pulling.reduced import DATA_CENTRE, Reduced

DUST = 1e-9
"""A share of the data centre up to this is rounding."""


def frequencies(reduced: Reduced, x: Floats) -> Ints:
    """(r) f_r."""
    count = reduced.fallback.size
    ways = totals(reduced.option_request, (x > 0).astype(float), count)
    served = totals(reduced.option_request, x, count)
    return ways.astype(np.int64) + (served < 1.0 - DUST)


def by_frequency(reduced: Reduced, x: Floats) -> Ints:
    """(r) the options chosen."""
    count = reduced.fallback.size
    fair = (1.0 - DUST) / np.maximum(frequencies(reduced, x), 1)
    left = 1.0 - totals(reduced.option_request, x, count)
    least = np.where(left >= fair, reduced.fallback, np.inf)
    choice = np.full(count, DATA_CENTRE, dtype=np.int64)
    enough = np.flatnonzero(x >= fair[reduced.option_request])
    order = enough[np.lexsort((reduced.option_cost[enough], reduced.option_request[enough]))]
    request, first = np.unique(reduced.option_request[order], return_index=True)
    cheapest = order[first]
    better = reduced.option_cost[cheapest] < least[request]
    choice[request[better]] = cheapest[better]
    return choice

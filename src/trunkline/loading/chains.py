"""Greedy chains of models: starts for a local search, one from each model."""

from __future__ import annotations

import numpy as np

from trunkline.loading.filling import Filling
from trunkline.loading.scattered import Scattered
from trunkline.timing import TimeLimit

MAX_CHAINS = 100
"""How many chains are built at most."""


def greedy_chains(scattered: Scattered, filling: Filling, limit: TimeLimit) -> list[list[int]]:
    """The best beginning of a chain from each model (of many, some), the best first.

    A chain goes on with the model that serves the most tasks per second, all of its tasks counted
    and its load after the one before. All chains grow together, and of each the part that serves
    most is kept; chains whose first model cannot be in time are left out.
    """
    n = len(scattered)
    if not n:
        return []
    first = np.arange(0, n, -(-n // MAX_CHAINS))
    chains, each = first[:, None], np.arange(first.size)
    work_s = filling.start_s + filling.seconds[:, -1]
    tasks = 1.0 + filling.steps[:, -1]
    steps = filling.steps[first] + filling.of_rest[0]
    seconds = filling.seconds[first] + filling.of_rest[1]
    spent_s = filling.start_s[first]
    seen = np.zeros((first.size, n), dtype=bool)
    seen[each, first] = True
    served = []
    for visits in range(1, n + 1):
        served.append(filling.values((steps, seconds), visits, spent_s))
        if visits == n or not np.isfinite(served[-1]).any() or limit.is_up:
            break
        saved_s = scattered.saved_s[chains[:, -1]]
        with np.errstate(divide="ignore"):
            rate = tasks / (work_s - saved_s)
        rate[seen] = -1.0
        new = rate.argmax(axis=1)
        spent_s = spent_s + filling.start_s[new] - saved_s[each, new]
        steps, seconds = steps + filling.steps[new], seconds + filling.seconds[new]
        seen[each, new] = True
        chains = np.column_stack((chains, new))
    most = np.array(served)
    best = most.max(axis=0)
    order = [i for i in np.argsort(-best, kind="stable").tolist() if best[i] > -np.inf]
    return [chains[i, : int(most[:, i].argmax()) + 1].tolist() for i in order]

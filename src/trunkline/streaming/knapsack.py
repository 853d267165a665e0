"""Users that count differently: a multiple-choice knapsack over resource blocks (derived).

User k served with model i is worth v_ki and costs n_ki of the N blocks. With best_k(n) the most
that users 1..k are worth in n blocks,

    best_k(n) = max(best_{k-1}(n), max_i v_ki + best_{k-1}(n - n_ki)),

exact, in O(N sum |I_k|). Without resource blocks shares are real numbers, and there is no such
table.
"""

from __future__ import annotations

import numpy as np

from trunkline.errors import UnsupportedProblemError
from trunkline.streaming.pairs import Floats, Ints, PairTable
from trunkline.streaming.problem import TOLERANCE


def admit_weighted(table: PairTable, shares: Floats) -> Ints:
    """The rows that are worth the most among those that fit into the resource blocks together.

    Raises:
        UnsupportedProblemError: the problem has no resource blocks.
    """
    problem = table.problem
    if problem.resource_blocks is None:
        raise UnsupportedProblemError(
            "users that count differently (weight) are planned for in resource blocks; "
            "give resource_blocks"
        )
    blocks = problem.resource_blocks
    rows = np.flatnonzero(shares <= 1 + TOLERANCE)
    costs = np.rint(shares * blocks, where=shares <= 1 + TOLERANCE, out=np.zeros_like(shares))
    order = sorted(rows.tolist(), key=lambda row: problem.users[table.users[row]].id)
    options: dict[int, list[int]] = {}
    for row in order:
        options.setdefault(int(table.users[row]), []).append(row)
    best = np.zeros(blocks + 1)
    chosen: list[Ints] = []
    for user, choices in options.items():
        pick = np.full(blocks + 1, -1, dtype=np.intp)
        after = best.copy()
        for row in choices:
            cost = int(costs[row])
            model = problem.models[table.models[row]].id
            worth = problem.users[user].weight_with(model) + best[: blocks + 1 - cost]
            better = worth > after[cost:]
            after[cost:][better] = worth[better]
            pick[cost:][better] = row
        best = after
        chosen.append(pick)
    return _traced(chosen, costs, blocks)


def _traced(chosen: list[Ints], costs: Floats, blocks: int) -> Ints:
    """The rows picked on the way to the last table's last entry."""
    picked = []
    left = blocks
    for pick in reversed(chosen):
        row = int(pick[left])
        if row >= 0:
            picked.append(row)
            left -= int(costs[row])
    return np.array(sorted(picked), dtype=np.intp)

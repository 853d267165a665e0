"""`optimal`: the plan that serves the most users with static shares.

For each user the model of least share, at the speeds of least energy where the energy binds; then
the users of least shares (`admission`), with weights a knapsack (`knapsack`), and with multicast
groups a dynamic programme over them (`multicast`). O(sum L + K log K) without energy budgets.
Optimal for static shares: a downlink that is divided in time (the most urgent layer first, the
whole band for it) can serve more.
"""

from __future__ import annotations

from trunkline.streaming.admission import admit
from trunkline.streaming.demands import least_shares
from trunkline.streaming.knapsack import admit_weighted
from trunkline.streaming.multicast import with_multicast
from trunkline.streaming.pairs import PairTable
from trunkline.streaming.plan import StreamingPlan
from trunkline.streaming.problem import StreamingProblem
from trunkline.streaming.schedule import plan_of


def optimal(problem: StreamingProblem) -> StreamingPlan:
    """A plan that provably serves the most users, or serves those that are worth the most.

    Raises:
        UnsupportedProblemError: weights without resource blocks or with multicast groups, or an
            energy budget in a multicast group.
    """
    table = PairTable(problem)
    shares = least_shares(table)
    if problem.multicast:
        return with_multicast(table, shares)
    rows = admit_weighted(table, shares) if problem.is_weighted else admit(table, shares)
    return plan_of(table, "optimal", rows, shares[rows], proven=True)

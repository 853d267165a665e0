"""Schemes to compare with: other transfers, other speeds, other shares, another order.

They send no multicast. `proven` where they serve everybody, since more there is not.
"""

from __future__ import annotations

import numpy as np

from trunkline.errors import InputError
from trunkline.streaming.admission import admit, by_share, is_whole, provision
from trunkline.streaming.demands import Speeds, least_shares
from trunkline.streaming.knapsack import admit_weighted
from trunkline.streaming.pairs import Floats, Ints, PairTable
from trunkline.streaming.plan import StreamingPlan
from trunkline.streaming.problem import TOLERANCE, StreamingProblem, User
from trunkline.streaming.schedule import plan_of


def download_first(problem: StreamingProblem) -> StreamingPlan:
    """`download-first`: a device computes once it has the whole model (the paper's conventional
    scheme), with the models, shares, speeds and users that are best for that."""
    return _admitted(problem, "download-first", transfers=1)


def in_transfers(problem: StreamingProblem, *, transfers: int = 2) -> StreamingPlan:
    """`transfers`: the layers arrive in G transfers of as many layers each, and a layer computes
    once its transfer is there; G = 1 is `download-first`, G = L is `optimal`.

    Raises:
        InputError: no transfer.
    """
    if transfers < 1:
        raise InputError(f"transfers: at least 1, got {transfers}")
    return _admitted(problem, "transfers", transfers=transfers)


def at_one_speed(problem: StreamingProblem) -> StreamingPlan:
    """`uniform-speed`: all layers of a user compute at one speed, the fastest that its energy
    allows."""
    return _admitted(problem, "uniform-speed", speeds="uniform")


def equal(problem: StreamingProblem, *, channels: int | None = None) -> StreamingPlan:
    """`equal`: the band is cut into n equal parts, one a user that it suffices for.

    Args:
        channels: n; None for the n that is worth the most.

    Raises:
        InputError: no channel.
    """
    if channels is not None and channels < 1:
        raise InputError(f"channels: at least 1, got {channels}")
    table = PairTable(problem)
    shares = least_shares(table)
    rows = by_share(table, shares, provision(table, shares))
    worth = np.array([_worth(table, row) for row in rows.tolist()])
    rows = rows[np.argsort(-worth, kind="stable")]
    worth = -np.sort(-worth, kind="stable")
    best: tuple[float, Ints, float] = (-1.0, rows[:0], 0.0)
    for n in range(1, len(rows) + 1) if channels is None else (channels,):
        part = _part(problem, n)
        able = np.flatnonzero((shares[rows] <= part * (1 + TOLERANCE)) & (part > 0))[:n]
        if (total := float(worth[able].sum())) > best[0]:
            best = (total, rows[able], part)
    _, chosen, part = best
    granted = np.full(len(chosen), part)
    return _plan(table, "equal", chosen, granted)


def fcfs(problem: StreamingProblem) -> StreamingPlan:
    """`fcfs`: users in the order of the document, each served if its least share is still left."""
    table = PairTable(problem)
    shares = least_shares(table)
    rows = []
    used = 0.0
    best = provision(table, shares)
    for row in best[np.argsort(table.users[best], kind="stable")].tolist():
        if used + shares[row] <= 1 + TOLERANCE:
            used += float(shares[row])
            rows.append(row)
    chosen = np.array(rows, dtype=np.intp)
    return _plan(table, "fcfs", chosen, shares[chosen])


def _admitted(
    problem: StreamingProblem,
    method: str,
    *,
    transfers: int | None = None,
    speeds: Speeds = "hull",
) -> StreamingPlan:
    """The best plan under other transfers or speeds."""
    table = PairTable(problem)
    shares = least_shares(table, transfers=transfers, speeds=speeds)
    rows = admit_weighted(table, shares) if problem.is_weighted else admit(table, shares)
    return _plan(table, method, rows, shares[rows], transfers=transfers, speeds=speeds)


def _plan(
    table: PairTable,
    method: str,
    rows: Ints,
    shares: Floats,
    *,
    transfers: int | None = None,
    speeds: Speeds = "hull",
) -> StreamingPlan:
    proven = is_whole(table.problem, len(rows)) and not table.problem.is_weighted
    return plan_of(table, method, rows, shares, proven=proven, transfers=transfers, speeds=speeds)


def _part(problem: StreamingProblem, parts: int) -> float:
    """The share of each of so many equal parts, in whole resource blocks where there are any."""
    blocks = problem.resource_blocks
    return 1.0 / parts if blocks is None else (blocks // parts) / blocks


def _worth(table: PairTable, row: int) -> float:
    model = table.problem.models[table.models[row]].id
    user: User = table.problem.users[table.users[row]]
    return user.weight_with(model)

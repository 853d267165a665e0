"""Algorithm 2 of PartialLoading written plainly in numpy: a peer in time and an oracle in tests.

Loops and names are those of the printed listing (lines 2 to 23), and each maximum of (15), (19)
and (20) over slots is one numpy expression. It shares nothing with `trunkline.loading.paper` but
the problem: loads, uploads and clusters are computed here from the definitions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trunkline.loading import LoadingProblem

Counts = NDArray[np.int64]

ROUNDING = 1e-9
"""A time this close above a whole number of slots takes that number (float rounding)."""


def algorithm_2(
    problem: LoadingProblem, slot_s: float, upload: str = "sum", variant: str = "printed"
) -> int:
    """U(X), the number of tasks that Algorithm 2 serves.

    Args:
        upload: "max" charges a batch its longest upload, (16); "sum" all of them, (11).
        variant: "printed" follows (19); "corrected" keeps in g the best with model i loaded last,
            so that any model may precede.
    """
    slots = math.floor(problem.deadline_s / slot_s + ROUNDING)  # T
    f = np.zeros(slots + 1, dtype=np.int64)
    for cluster in clusters(problem):
        g = cluster_table(problem, cluster, slots, slot_s, upload, variant)
        before = f.copy()
        for tau_1 in range(1, slots + 1):  # (20)
            f[tau_1] = np.max(before[tau_1::-1] + g[: tau_1 + 1])
    return int(f[slots])


def clusters(problem: LoadingProblem) -> list[list[int]]:
    """I_m: the models that share blocks, together, in ascending order of l_i."""
    sets, sizes = problem.library.block_sets, problem.library.blocks
    found: list[list[int]] = []
    for i, blocks in enumerate(sets):
        held = {block for block in blocks if sizes[block] > 0}
        near = [one for one in found if any(held & sets[j] for j in one)]
        found = [one for one in found if one not in near]
        found.append([i, *(j for one in near for j in one)])
    return [sorted(one, key=lambda i: (_depth(problem, i), problem.models[i].id)) for one in found]


def _depth(problem: LoadingProblem, i: int) -> int:
    """l_i: how many of the model's blocks some other model holds."""
    sets, sizes = problem.library.block_sets, problem.library.blocks
    others = frozenset().union(*(held for j, held in enumerate(sets) if j != i))
    return sum(block in others and sizes[block] > 0 for block in sets[i])


def cluster_table(
    problem: LoadingProblem,
    cluster: list[int],
    slots: int,
    slot_s: float,
    upload: str,
    variant: str,
) -> Counts:
    """g_m(I_m, t) for t = 0..T: lines 2 to 17 for one cluster."""
    n = len(cluster)
    q = np.zeros((n + 1, n + 1, slots + 1), dtype=np.int64)  # q[i_hat, i, tau_hat] (15)
    for i in range(1, n + 1):
        for i_hat in range(i):
            latency = phi(problem, cluster, i_hat, i, upload)
            for tau_hat in range(1, slots + 1):
                q[i_hat, i, tau_hat] = np.sum(latency <= (tau_hat + ROUNDING) * slot_s)
    g = np.zeros((n + 1, slots + 1), dtype=np.int64)  # (18): the first i models
    last = np.zeros((n + 1, slots + 1), dtype=np.int64)  # corrected: i is the one loaded last
    for i in range(1, n + 1):
        for tau_2 in range(1, slots + 1):
            best = q[0, i, tau_2]
            for i_hat in range(1, i):  # gamma of (19)
                before = (g if variant == "printed" else last)[i_hat, tau_2 - 1 : 0 : -1]
                allowed = before > 0
                if variant == "printed":
                    allowed &= before != g[i_hat - 1, tau_2 - 1 : 0 : -1]
                own = q[i_hat, i, 1:tau_2]
                best = max(best, np.max(np.where(allowed & (own > 0), before + own, 0), initial=0))
            last[i, tau_2] = best
            g[i, tau_2] = max(best, g[i - 1, tau_2])
    return g[n]


def phi(
    problem: LoadingProblem, cluster: list[int], i_hat: int, i: int, upload: str
) -> NDArray[np.float64]:
    """Phi(i_hat, i, k) of (16) for k = 1, 2, ...; models numbered from 1 in the cluster."""
    position = cluster[i - 1]
    model = problem.models[position]
    band = problem.bandwidth_hz
    p = np.sort(
        [
            0.0
            if task.upload_bits == 0
            else task.upload_bits / (band * task.bits_per_s_per_hz)
            if band * task.bits_per_s_per_hz > 0
            else math.inf
            for task in problem.tasks
            if task.model == model.id
        ]
    )
    sets, sizes = problem.library.block_sets, problem.library.blocks
    resident = sets[cluster[i_hat - 1]] if i_hat else frozenset()
    load_s = problem.loading.seconds(sum(sizes[block] for block in sets[position] - resident))
    latency = np.empty(p.size)
    for k in range(1, p.size + 1):
        batches = math.ceil(k / model.max_batch)
        uploads = 0.0
        for n in range(1, batches + 1):
            batch = p[(n - 1) * model.max_batch : min(n * model.max_batch, k)]
            uploads += np.max(batch) if upload == "max" else np.sum(batch)
        latency[k - 1] = (
            uploads + load_s + model.seconds_per_task * k + model.seconds_per_batch * batches
        )
    return latency

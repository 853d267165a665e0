"""The speeds that take the least energy: slopes of a lower convex hull.

A device that has done W cycles by time t runs at the frequency dW/dt, and a cycle at frequency s
takes eta s^2 joules. Layer l must not begin before it is there, and all must be done by the limit.
With the parts of the times that speeds don't change taken out (V_l = V1_1 + ... + V1_{l-1}), layer
l begins no earlier than

    r_l   = max(F_0, max_{m <= l} (a_m - V_m))
    Theta = Tbar - P - (V1_1 + ... + V1_L)

and the least energy is that of the taut string below the points Q_l = (r_l, w_1 + ... + w_{l-1}),
l = 1..L, up to (Theta, w_1 + ... + w_L): their lower convex hull. Speeds never decrease along the
layers. (Derived.)
"""

from __future__ import annotations

import numpy as np

from trunkline.streaming.pairs import Floats, Ints, Pairs


def releases(ready: Floats, pairs: Pairs) -> tuple[Floats, Floats]:
    """r_l (n, L) and Theta (n,) from a_l, when each layer is there to compute."""
    fixed = np.cumsum(pairs.fixed_s, axis=1)
    free = np.maximum.accumulate(ready - (fixed - pairs.fixed_s), axis=1)
    return np.maximum(free, pairs.ready_s[:, None]), pairs.limit_s - fixed[:, -1]


def lower_hull_speeds(release: Floats, work: Floats, end: Floats) -> Floats:
    """The frequency of each layer in cycles per second, shape (n, L); 0 for layers before the first
    with any work, infinite where there is no time to do it in.

    Each row is wrapped from its end: the segment that ends in (t, W) starts in the point with the
    steepest slope to it, the earliest of them where several are as steep.

    Args:
        release: r_l, shape (n, L), non-decreasing along the layers.
        work: w_l, shape (n, L).
        end: Theta, shape (n,).
    """
    speeds = np.zeros_like(work)
    before = np.cumsum(work, axis=1)
    time, done = end, before[:, -1]
    before = before - work
    layers = np.arange(work.shape[1])
    rows = np.flatnonzero(done > 0)
    last = np.full(len(rows), work.shape[1])
    release, before, time, done = release[rows], before[rows], time[rows], done[rows]
    while len(rows):
        start, slope = _steepest(release, before, time, done, last)
        inside = (layers >= start[:, None]) & (layers < last[:, None])
        speeds[rows] = np.where(inside, slope[:, None], speeds[rows])
        here = np.arange(len(rows))
        done = before[here, start]
        more = done > 0
        time = release[here, start][more]
        rows, release, before, done = rows[more], release[more], before[more], done[more]
        last = start[more]
    return speeds


def _steepest(
    release: Floats, before: Floats, time: Floats, done: Floats, last: Ints
) -> tuple[Ints, Floats]:
    """The layer before `last` of which the point has the steepest slope to (time, done), and the
    slope."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = time[:, None] - release
        slopes = (done[:, None] - before) / np.maximum(left, 0.0)
    slopes[np.arange(release.shape[1]) >= last[:, None]] = -np.inf
    np.nan_to_num(slopes, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
    start = slopes.argmax(axis=1)
    return start, slopes[np.arange(len(start)), start]


def energy(work: Floats, speeds: Floats) -> Floats:
    """sum_l w_l s_l^2 of each row, in units of eta."""
    with np.errstate(invalid="ignore"):
        joules = np.where(work > 0, work * speeds * speeds, 0.0)
    return np.asarray(np.cumsum(joules, axis=1)[:, -1])

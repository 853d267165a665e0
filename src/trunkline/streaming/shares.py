"""The least share of the bandwidth with which a pair meets its deadline, at given speeds.

With C_l and A_l as in `recursion`, L_max = Tbar - P and r = B R,

    y_min = (1/r) max over l with C_l > 0 of C_l / (L_max - t0 - A_l),

infinite where a denominator is not positive, F_0 + A_1 > L_max, or r = 0; 0 where nothing is to be
downloaded. One transfer for all layers (download, then infer) gives C_L / (r (L_max - t0 - A_1)).
Where layers are copied before they compute, B_l = max_{m >= l} (H_l + ... + H_m + A_m) stands in
for A_l, and B_1 <= L_max must hold, too. (Derived.)
"""

from __future__ import annotations

import numpy as np

from trunkline.streaming.pairs import Bools, Floats, Pairs
from trunkline.streaming.problem import TOLERANCE
from trunkline.streaming.recursion import remaining


def least_share(pairs: Pairs, bits: Floats, seconds: Floats) -> Floats:
    """y_min of each pair, shape (n,), infinite where no share suffices.

    Args:
        pairs: the pairs.
        bits: C_l, the bits before each layer, shape (n, L).
        seconds: T_l, shape (n, L).
    """
    after = seconds_after_arrival(seconds, pairs)
    need = np.zeros_like(bits)
    slack = (pairs.limit_s - pairs.first_byte_s)[:, None] - after
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        np.divide(bits, np.maximum(slack, 0.0), out=need, where=bits > 0)
        share = need.max(axis=1, initial=0.0) / pairs.rate
    share[bits[:, -1] == 0] = 0.0
    share[~possible(pairs, seconds, after)] = np.inf
    return np.asarray(share)


def possible(pairs: Pairs, seconds: Floats, after: Floats) -> Bools:
    """Whether each pair would be in time with all its layers there at the start."""
    computing = remaining(seconds)[:, 0] if pairs.copies else after[:, 0]
    earliest = np.maximum(pairs.ready_s + computing, after[:, 0])
    return np.asarray(earliest <= pairs.limit_s * (1 + TOLERANCE))


def seconds_after_arrival(seconds: Floats, pairs: Pairs) -> Floats:
    """B_l: the least time from the arrival of layer l to the last layer's end, shape (n, L)."""
    left = remaining(seconds)
    if not pairs.copies:
        return left
    after = left.copy()
    after[:, -1] += pairs.copy_s[:, -1]
    for layer in range(seconds.shape[1] - 2, -1, -1):
        later = np.maximum(left[:, layer], after[:, layer + 1])
        after[:, layer] = pairs.copy_s[:, layer] + later
    return after

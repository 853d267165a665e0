"""One speed for all layers: the fastest that the energy allows (baseline, derived).

    z = min(1, sqrt((Ebar - fixed_j) / (eta f^2 sum_l w_l)))

The least share is then that of `shares` at the seconds V1_l + w_l / (z f).
"""

from __future__ import annotations

import numpy as np

from trunkline.streaming.pairs import Floats, Pairs
from trunkline.streaming.shares import least_share


def uniform_speed(pairs: Pairs) -> Floats:
    """z of each pair, shape (n,); 0 where no speed over 0 is slow enough."""
    cycles = np.cumsum(pairs.work, axis=1)[:, -1]
    most = pairs.eta * pairs.hz**2 * cycles
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(most > 0, np.maximum(pairs.energy_j, 0.0) / most, np.inf)
    return np.where(pairs.energy_j < 0, 0.0, np.minimum(1.0, np.sqrt(ratio)))


def least_share_at_one_speed(pairs: Pairs, bits: Floats) -> Floats:
    """The least share of each pair with one speed for all layers, shape (n,)."""
    speed = uniform_speed(pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        computing = np.where(pairs.work > 0, pairs.work / (speed * pairs.hz)[:, None], 0.0)
    share = least_share(pairs, bits, pairs.fixed_s + computing)
    return np.where(pairs.energy_j < 0, np.inf, share)

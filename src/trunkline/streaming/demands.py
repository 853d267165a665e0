"""What each pair needs of the band: its least share, in resource blocks where there are any."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trunkline.streaming.energy import least_share_within_energy
from trunkline.streaming.pairs import Floats, Pairs, PairTable
from trunkline.streaming.problem import TOLERANCE
from trunkline.streaming.recursion import cumulative_bits
from trunkline.streaming.shares import least_share
from trunkline.streaming.uniform_speed import least_share_at_one_speed

Speeds = Literal["hull", "uniform"]
"""Speeds of least energy, or one speed for all layers; where the energy does not bind, the top."""


def least_shares(
    table: PairTable, *, transfers: int | None = None, speeds: Speeds = "hull"
) -> Floats:
    """y of each pair, shape (pairs,), rounded up to resource blocks where the problem has them;
    infinite where the pair cannot be served."""
    shares = np.empty(len(table))
    for rows, pairs in table.chunks():
        shares[rows] = least_shares_of(pairs, transfers=transfers, speeds=speeds)
    return in_blocks(shares, table.problem.resource_blocks)


def least_shares_of(
    pairs: Pairs, *, transfers: int | None = None, speeds: Speeds = "hull"
) -> Floats:
    """y of each of some pairs, shape (n,), not rounded."""
    bits = cumulative_bits(pairs.bits, pairs.layers, transfers)
    if speeds == "uniform":
        return least_share_at_one_speed(pairs, bits)
    share = least_share(pairs, bits, pairs.seconds)
    if np.isinf(pairs.energy_j).all():
        return share
    return least_share_within_energy(pairs, bits, share)


def in_blocks(shares: Floats, resource_blocks: int | None) -> Floats:
    """Shares rounded up to multiples of 1/N (not for rounding errors); as they are without N."""
    if resource_blocks is None:
        return shares
    return np.asarray(np.ceil(shares * resource_blocks * (1 - TOLERANCE)) / resource_blocks)

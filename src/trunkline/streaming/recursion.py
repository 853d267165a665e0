"""When layers arrive and end: the recursion, and its closed form.

Arrays have the layers on their last axis; the other axes are pairs.

    D_l = t0 + C_l / (y r),  C_l = S_1 + ... + S_l,  r = B R;  D_l = 0 while C_l = 0
    a_l = max(a_{l-1}, D_l) + H_l,  a_0 = 0          (without copying a_l = D_l)
    F_l = max(a_l, F_{l-1}) + T_l,  F_0 = ready_s    (the recursion: paper)
    F_L = max(F_0 + A_1, max_l (a_l + A_l)),  A_l = T_l + ... + T_L       (derived)
"""

from __future__ import annotations

import numpy as np

from trunkline.streaming.pairs import Floats, Ints, Pairs


def cumulative_bits(bits: Floats, layers: Ints, transfers: int | None = None) -> Floats:
    """C_l: the bits that have to be there before layer l is, shape (n, L).

    Args:
        bits: S_l, shape (n, L).
        layers: how many of the L layers each row has, shape (n,).
        transfers: G, where the layers arrive in G transfers of as many layers each (give or take
            one) instead of one by one; then C_l is that of the last layer of l's transfer.
    """
    total = np.cumsum(bits, axis=-1)
    if transfers is None:
        return total
    last = last_of_transfer(layers, bits.shape[-1], transfers)
    return np.take_along_axis(total, last, axis=-1)


def last_of_transfer(layers: Ints, columns: int, transfers: int) -> Ints:
    """The position of the last layer of each layer's transfer, shape (n, columns).

    Of L layers, layer l (from 0) is in transfer floor(l G / L).
    """
    position = np.arange(columns)
    group = position * transfers // np.maximum(layers, 1)[:, None]
    # The last l with floor(l G / L) = g is ceil((g + 1) L / G) - 1.
    last = -(-(group + 1) * layers[:, None] // transfers) - 1
    return np.asarray(np.where(position < layers[:, None], last, position))


def arrivals(bits: Floats, share: Floats, pairs: Pairs) -> Floats:
    """D_l for cumulative `bits` (n, L) and shares y (n,); infinite where nothing can arrive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sending = bits / (share * pairs.rate)[:, None]
    return np.where(bits > 0, pairs.first_byte_s[:, None] + sending, 0.0)


def available(arrived: Floats, copy_s: Floats) -> Floats:
    """a_l: when each layer can compute, from when it arrives and how long it takes to copy."""
    copied = np.cumsum(copy_s, axis=-1)
    waiting = np.maximum.accumulate(arrived - (copied - copy_s), axis=-1)
    return np.asarray(np.where(copied > 0, np.maximum(waiting, 0.0) + copied, arrived))


def layer_finishes(ready: Floats, seconds: Floats, start: Floats) -> Floats:
    """F_l by the recursion, from a_l, T_l (n, L) and F_0 (n,)."""
    finishes = np.empty_like(seconds)
    now = start
    for layer in range(seconds.shape[-1]):
        now = np.maximum(now, ready[..., layer]) + seconds[..., layer]
        finishes[..., layer] = now
    return finishes


def finish(ready: Floats, seconds: Floats, start: Floats) -> Floats:
    """F_L by the closed form, from a_l, T_l (n, L) and F_0 (n,)."""
    left = remaining(seconds)
    return np.asarray(np.maximum(start + left[..., 0], (ready + left).max(axis=-1)))


def remaining(seconds: Floats) -> Floats:
    """A_l: what layers l to L take together, same shape."""
    return np.cumsum(seconds[..., ::-1], axis=-1)[..., ::-1]

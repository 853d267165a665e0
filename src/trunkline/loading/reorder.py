"""Better orders of the same visits: 2-opt and Or-opt on a path.

Every way to reverse a stretch of the path, and every way to move one to three neighbours elsewhere
(turned round or not), is weighed at once as a matrix; the best is taken until none saves time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEAST_S = 1e-12
"""Relative to all that the path saves: a gain below this is rounding."""

MAX_RUN = 3
"""Or-opt moves up to so many neighbours together."""

Matrix = NDArray[np.float64]


def reorder(path: list[int], saved_s: Matrix) -> tuple[list[int], float]:
    """A path through the same models that saves more, and how many seconds more.

    Args:
        saved_s: seconds that i saves by following j at [j, i]; index n stands for "nothing", before
            the first and after the last model, and saves nothing. Shape (n + 1, n + 1).
    """
    gained = 0.0
    least = LEAST_S * float(saved_s.max(initial=0.0))
    while len(path) > 1:
        better, gain = _best_move(path, saved_s)
        if gain <= least:
            break
        path, gained = better, gained + gain
    return path, gained


def _best_move(path: list[int], saved_s: Matrix) -> tuple[list[int], float]:
    """The path after the best single move, and what it gains."""
    m = len(path)
    nothing = len(saved_s) - 1
    padded = np.array([nothing, *path, nothing])
    pairs = saved_s[padded[:, None], padded]
    now = np.ascontiguousarray(pairs.ravel()[1 :: m + 3])  # saved from each to the next, m + 1
    # What stretches gain by being turned round, up to each position (0 where saving is symmetric).
    turned = np.concatenate(([0.0], (pairs.ravel()[m + 2 :: m + 3] - now).cumsum()))
    path_after, best = path, 0.0

    if m > 2:
        gain = pairs[:-2, 1:-1] + pairs[1:-1, 2:]
        gain -= now[:-1, None]
        gain -= now[1:]
        gain += turned[1:-1] - turned[1:-1, None]
        gain += _upper(m)
        at = int(gain.argmax())
        if gain.flat[at] > best:
            best = float(gain.flat[at])
            first, last = divmod(at, m)
            path_after = path[:first] + path[first : last + 1][::-1] + path[last + 1 :]

    for run in range(1, min(MAX_RUN, m - 1) + 1):
        # Runs of `run` models from position a = 1.. of `padded`, to between positions q and q + 1.
        last = m - run + 1
        closed = pairs.ravel()[run + 1 :: m + 3][:last] - now[:last] - now[run : run + last]
        heads, tails = pairs[1 : last + 1], pairs[run : run + last]
        into, out_of = pairs[:, 1 : last + 1].T, pairs[:, run : run + last].T
        straight = into[:, :-1] + tails[:, 1:]
        reverse = out_of[:, :-1] + heads[:, 1:]
        reverse += (turned[run : run + last] - turned[1 : last + 1])[:, None]
        gain = np.maximum(straight, reverse)
        gain -= now
        gain += closed[:, None]
        gain += _elsewhere(run, len(saved_s))[:last, : m + 1]
        at = int(gain.argmax())
        if gain.flat[at] > best:
            best = float(gain.flat[at])
            a, q = divmod(at, m + 1)
            moved = path[a : a + run]
            if reverse[a, q] > straight[a, q]:
                moved.reverse()
            left = path[:a] + path[a + run :]
            q = q if q <= a else q - run
            path_after = left[:q] + moved + left[q:]
    return path_after, best


@lru_cache(maxsize=64)
def _upper(m: int) -> Matrix:
    """0 above the diagonal, -inf elsewhere: a stretch has two ends, in order. Shape (m, m)."""
    return np.where(np.triu(np.ones((m, m), dtype=bool), 1), 0.0, -np.inf)


@lru_cache(maxsize=8)
def _elsewhere(run: int, size: int) -> Matrix:
    """-inf where a gap q touches or lies inside the run that begins at position a + 1, else 0."""
    a, q = np.arange(1, size + 1)[:, None], np.arange(size + 1)
    return np.where((q >= a - 1) & (q <= a + run - 1), -np.inf, 0.0)

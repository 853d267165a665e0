"""The least share of the bandwidth within an energy budget: Newton's method on the hull's energy.

For a pair let u = 1/(y r) be the seconds that a bit takes, and E(u) the least energy (`hull`).
Arrivals are convex in u, so the layers' seconds t_l that meet the deadline are jointly convex with
u, and E = sum w_l^3 / t_l^2 is convex in them. As E is homogeneous of degree -2 in the t_l,
g(u) = E(u)^(-1/2) is concave, and it decreases. Newton's method on g(u) = Ebar^(-1/2) from a u that
is too large therefore never passes the solution, and it takes a handful of steps: on a hull of one
segment g is a straight line. By the envelope theorem, with s_0 = 0,

    E'(u) = 2 sum_l r_l'(u) (s_l^3 - s_{l-1}^3),

where r_l'(u) is the bits C_m of the layer m that determines r_l, or 0 where none does. (Derived.)
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from trunkline.streaming.hull import energy, lower_hull_speeds, releases
from trunkline.streaming.pairs import Floats, Ints, Pairs
from trunkline.streaming.problem import TOLERANCE
from trunkline.streaming.recursion import arrivals, available

STEPS = 60
"""Newton's steps at most; a handful suffices."""

PRECISION = 1e-15
"""Steps end where u changes by less than this, relatively."""


def least_share_within_energy(pairs: Pairs, bits: Floats, share: Floats) -> Floats:
    """The least share at speeds of one's choice, shape (n,); infinite where it would be over 1.

    Args:
        pairs: the pairs.
        bits: C_l, the bits before each layer, shape (n, L).
        share: y_min at the top frequency, shape (n,); what takes less energy needs no less.
    """
    found = share.copy()
    full = pairs.eta * energy(pairs.work, np.broadcast_to(pairs.hz[:, None], pairs.work.shape))
    found[~(pairs.energy_j >= 0)] = np.inf
    tight = (full > pairs.energy_j * (1 + TOLERANCE)) & (found <= 1 + TOLERANCE)
    rows = np.flatnonzero(tight)
    if len(rows):
        found[rows] = _newton(_rows(pairs, rows), bits[rows], share[rows])
    return found


def _newton(pairs: Pairs, bits: Floats, share: Floats) -> Floats:
    """Newton's method on rows that full speed takes over their budget."""
    found = np.full(len(share), np.inf)
    budget = pairs.energy_j / pairs.eta
    with np.errstate(divide="ignore"):
        goal = 1.0 / np.sqrt(budget)  # g = E^(-1/2) has to be at least this
        least = np.where(pairs.rate > 0, 1.0 / pairs.rate, 1.0)  # u at y = 1; any without a link
        per_bit = np.where(share > 0, least / share, least)  # u at y_min, too large or right
    rows = np.arange(len(share))
    for _ in range(STEPS):
        here = _rows(pairs, rows)
        value, slope = energy_and_slope(here, bits[rows], per_bit[rows])
        g = 1.0 / np.sqrt(value)
        enough = value <= budget[rows] * (1 + TOLERANCE / 10)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # g' = -E' / (2 E^(3/2)); no step helps where E does not depend on u.
            step = (goal[rows] - g) * 2.0 * value / (g * slope)
        step = np.where(slope > 0, step, np.inf)
        after = per_bit[rows] - step
        # An iterate is never below the solution: below u of the whole band there is none.
        lost = ~enough & ~(after >= least[rows] * (1 - TOLERANCE))
        settled = enough | (step <= PRECISION * per_bit[rows])
        done = settled & ~lost
        final = np.where(enough, per_bit[rows], after)
        found[rows[done]] = least[rows[done]] / final[done]
        going = ~lost & ~done
        per_bit[rows[going]] = after[going]
        rows = rows[going]
        if not len(rows):
            break
    found[rows] = least[rows] / per_bit[rows]  # what rounding keeps from settling is settled
    nothing = bits[:, -1] == 0
    found[nothing & np.isfinite(found)] = 0.0
    return found


def energy_and_slope(pairs: Pairs, bits: Floats, per_bit: Floats) -> tuple[Floats, Floats]:
    """E(u) in units of eta, and E'(u), both (n,), at u = `per_bit` seconds a bit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1.0 / (per_bit * pairs.rate)
    release, end = releases(available(arrivals(bits, share, pairs), pairs.copy_s), pairs)
    speeds = lower_hull_speeds(release, pairs.work, end)
    cubes = speeds**3
    jumps = np.diff(cubes, axis=1, prepend=0.0)
    slopes = np.where(jumps != 0, _bits_that_bind(pairs, bits, share, release), 0.0)
    value = energy(pairs.work, speeds)
    with np.errstate(invalid="ignore"):
        return value, np.cumsum(2.0 * slopes * jumps, axis=1)[:, -1]


def _bits_that_bind(pairs: Pairs, bits: Floats, share: Floats, release: Floats) -> Floats:
    """r_l'(u): the C_m of the layer m that r_l follows from, 0 where none does, shape (n, L)."""
    arrived = arrivals(bits, share, pairs)
    copied = np.cumsum(pairs.copy_s, axis=1)
    waiting = arrived - (copied - pairs.copy_s)
    first = _last_record(waiting)  # the m that a_l follows from
    ready = available(arrived, pairs.copy_s)
    fixed = np.cumsum(pairs.fixed_s, axis=1)
    second = _last_record(ready - (fixed - pairs.fixed_s))  # the layer that r_l follows from
    binding = np.take_along_axis(np.take_along_axis(bits, first, 1), second, 1)
    reached = np.take_along_axis(waiting, np.take_along_axis(first, second, 1), 1)
    with_copy = copied[:, -1:] > 0
    free = (release <= pairs.ready_s[:, None]) | (with_copy & (reached <= 0))
    return np.where(free, 0.0, binding)


def _last_record(values: Floats) -> Ints:
    """The position of the running maximum along each row, shape (n, L)."""
    highest = np.maximum.accumulate(values, axis=1)
    position = np.arange(values.shape[1])
    return np.maximum.accumulate(np.where(values >= highest, position, 0), axis=1)


def _rows(pairs: Pairs, rows: Ints) -> Pairs:
    """Some of the rows of pairs."""
    return Pairs(**{field.name: getattr(pairs, field.name)[rows] for field in fields(pairs)})

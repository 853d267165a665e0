"""R1 of the rounding: every request draws its option on its own, by the relaxation. [derived]

With damping eta, request r takes option o with probability q_o = (1 - eta) x_o, else the data
centre. A unit is pulled if any request draws an option that needs it, so with q_ru, the sum of q_o
over the options of r that need unit u,

    E[cost]  =  sum over r of fallback_r  +  sum over o of q_o (a_o - fallback_r)
                +  sum over u of p_u [1 - product over r of (1 - q_ru)]

Storage may be passed, and compute too; eta makes the latter rare, see `overflow_bound`. (The paper
states a randomised algorithm with a proved ratio; its steps were not available.)
"""

from __future__ import annotations

import math

import numpy as np

from trunkline.pulling.lists import Floats, Ints
from trunkline.pulling.reduced import DATA_CENTRE, Reduced
from trunkline.pulling.relaxation import shares

DAMPING = 0.1
"""eta by default."""


def draw(reduced: Reduced, x: Floats, rng: np.random.Generator, eta: float = DAMPING) -> Ints:
    """(r) the options drawn. One uniform number is drawn for each request."""
    starts = reduced.request_options.starts
    summed = np.concatenate(([0.0], np.cumsum((1.0 - eta) * x)))
    aims = summed[starts[:-1]] + rng.random(len(starts) - 1)
    option = np.searchsorted(summed, aims, side="right") - 1
    return np.where(option < starts[1:], option, DATA_CENTRE)


def expected_cost(reduced: Reduced, x: Floats, eta: float = DAMPING) -> float:
    """E[cost] of a draw, in closed form."""
    q = (1.0 - eta) * x
    saved = reduced.option_cost - reduced.fallback[reduced.option_request]
    _, unit, share = shares(reduced, q)
    not_pulled = np.ones(reduced.unit_cost.size)
    np.multiply.at(not_pulled, unit, 1.0 - share)
    return float(reduced.fallback.sum() + saved @ q + reduced.unit_cost @ (1.0 - not_pulled))


def overflow_bound(most: float, largest: float, eta: float) -> float:
    """A bound on the probability that a draw passes a site's compute.

    The loads are independent, of at most `largest` = w_max each and of mean (1 - eta) W together at
    most, so by Chernoff's bound Pr[load > W] <= exp(-(W/w_max) eta^2 / (2 - eta)).

    Args:
        most: W, the site's compute.
        largest: w_max, the most that one request takes there.
        eta: the damping, 0 to 1.
    """
    if largest <= 0:
        return 0.0
    return math.exp(-most / largest * eta**2 / (2.0 - eta))

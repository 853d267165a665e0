"""The linear relaxation of the pulling problem, and the bound that its prices prove. [derived]

HiGHS solves `programme.py` with 0 <= x, y <= 1. Where there are many options, it first gets some of
each request's, the cheapest ones with a fair share of their pulls, and then again and again those
that the prices show to be of use (column generation).

The bound does not rest on HiGHS's tolerances, nor on having all columns. Any prices l >= 0 of the
rows give one (weak duality), with the rows written as "sum of A x <= b":

    bound  =  sum of fallbacks  -  sum of l b  +  sum over columns j of min(0, d_j),
    d_j    =  c_j + sum over rows of l A_j

where a request's price is first raised until no d of its options is negative, as this costs less.
What is left of d_u of a unit may pay for link rows that the part does not have; it is shared
equally by the requests that an option of negative d_j asks for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.pulling.lists import Floats, Ints, expand, totals
from trunkline.pulling.programme import Programme
from trunkline.pulling.reduced import Reduced, scaled
from trunkline.timing import TimeLimit

SIMPLEX = 2_000
"""Options up to which the simplex method is used, and the interior point method beyond."""

FEW = 30_000
"""Options up to which all are taken at once; else the first part has about so many."""

ADDED = 20
"""Options of each request that come in at most each time."""

MAX_PARTS = 12
"""Parts that are solved, at most."""

CLOSE = 1e-3
"""Relative difference of the part's value and the bound that is close enough."""

LEAST = 1e-7
"""Smaller values of x are taken as 0."""


@dataclass(frozen=True)
class Relaxation:
    """A solution of the relaxation, best for the part that was solved last.

    Attributes:
        reduced: the problem.
        x: (o) the share of each request that each option serves.
        y: (u) the share of each unit that is pulled: the most that any request needs of it.
        bound: no plan costs less (with limits divided by `scale`, where that is not 1).
    """

    reduced: Reduced
    x: Floats
    y: Floats
    bound: float

    @property
    def cost(self) -> float:
        """The objective of x and y; `bound` up to tolerances where the relaxation is solved."""
        reduced = self.reduced
        saved = reduced.option_cost - reduced.fallback[reduced.option_request]
        return float(reduced.fallback.sum() + saved @ self.x + reduced.unit_cost @ self.y)


def relax(reduced: Reduced, limit: TimeLimit, *, scale: float = 1.0) -> Relaxation:
    """Solve the relaxation, with storage and compute divided by `scale`.

    Where the limit ends it early, x is the best of an earlier part, or all 0.
    """
    unit = max(float(reduced.fallback.max(initial=0.0)), 1e-300)
    small = scaled(reduced, unit)
    unasked = float(reduced.fallback.sum()) - float(small.fallback.sum()) * unit
    x, bound = np.zeros(reduced.option_cost.size), 0.0
    options = _first_options(small)
    for _ in range(MAX_PARTS):
        part = Programme(
            small,
            options,
            np.arange(reduced.unit_cost.size),
            reduced.storage / scale,
            reduced.compute / scale,
        )
        solved = _solve(part, limit)
        if solved is None:
            break
        values, prices = solved
        x = np.zeros(x.size)
        x[options] = values[: options.size]
        proved, reduced_cost = _priced(part, prices)
        bound = max(bound, proved)
        value = float(small.fallback.sum() + part.costs @ values)
        more = _useful(small, reduced_cost, options)
        if value - bound <= CLOSE * value or not more.size:
            break
        options = np.union1d(options, more)
    return Relaxation(reduced, *_consistent(reduced, x), bound * unit + unasked)


def _first_options(reduced: Reduced) -> Ints:
    """All options if they are few, else the cheapest ones of each request, where every request that
    could use a unit pays the same share of it."""
    every = np.arange(reduced.option_cost.size)
    if every.size <= FEW:
        return every
    users = np.bincount(reduced.option_bundle, minlength=reduced.bundle_site.size)
    position, unit = expand(reduced.bundle_units, np.arange(users.size))
    asked = totals(unit, users[position].astype(float), reduced.unit_cost.size)
    share = reduced.bundle_units.sums(reduced.unit_cost / np.maximum(asked, 1.0))
    cost = reduced.option_cost + share[reduced.option_bundle]
    return _least(reduced, every, cost, max(1, FEW // reduced.fallback.size))


def _least(reduced: Reduced, options: Ints, cost: Floats, count: int) -> Ints:
    """Of the options (ascending) those of each request with the least cost, `count` at most."""
    order = options[np.lexsort((cost, reduced.option_request[options]))]
    request = reduced.option_request[order]
    rank = np.arange(order.size) - np.searchsorted(request, request)
    return np.sort(order[rank < count])


def _solve(part: Programme, limit: TimeLimit) -> tuple[Floats, Floats] | None:
    """Columns and row prices, at least 0, of the optimum; None if the limit comes first."""
    import highspy

    if limit.is_up:
        return None
    if not part.options.size:
        return np.zeros(part.units.size), np.zeros(part.rows.most.size)
    solver = part.solver()
    many = part.options.size > SIMPLEX
    solver.setOptionValue("solver", "ipm" if many else "simplex")
    solver.setOptionValue("run_crossover", "off")
    if math.isfinite(limit.left_s):
        solver.setOptionValue("time_limit", limit.left_s)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    values = np.clip(np.array(solution.col_value), 0.0, 1.0)
    return values, np.maximum(-np.array(solution.row_dual), 0.0)


def _priced(part: Programme, prices: Floats) -> tuple[float, Floats]:
    """The bound that prices of a part's rows prove, and (o) d of all options before requests'
    prices are raised."""
    reduced, rows = part.reduced, part.rows
    weighed = totals(rows.column, prices[rows.row] * rows.value, part.costs.size)
    d_unit = (part.costs + weighed)[part.options.size :]
    d, missing, key = _option_prices(part, prices)
    option, unit = expand(reduced.bundle_units, reduced.option_bundle)
    asked = np.unique(key[missing & (d[option] < 0)])  # links that an option in need lacks
    count = np.bincount(asked % d_unit.size if asked.size else asked, minlength=d_unit.size)
    share = np.maximum(d_unit, 0.0) / np.maximum(count, 1)
    paid = missing & np.isin(key, asked)
    d += totals(option[paid], share[unit[paid]], d.size)
    d_unit = np.where(count > 0, np.minimum(d_unit, 0.0), d_unit)
    worst = np.zeros(reduced.fallback.size)
    np.minimum.at(worst, reduced.option_request, d)
    bound = reduced.fallback.sum() - prices @ rows.most + worst.sum()
    return float(bound + np.minimum(d_unit, 0.0).sum()), d


def _option_prices(part: Programme, prices: Floats) -> tuple[Floats, NDArray[np.bool_], Ints]:
    """(o) d of all options; and for each option and unit of its bundle, whether the part has no
    link row for them, and request * units + unit."""
    reduced = part.reduced
    requests, links, _, _, compute = part.kinds
    ends = np.cumsum([rows.most.size for rows in part.kinds])
    of_request, of_link, _, _, of_compute = np.split(prices, ends[:-1])
    request_price, work_price = np.zeros(reduced.fallback.size), np.zeros(reduced.compute.size)
    request_price[requests.of] = of_request
    work_price[compute.of] = of_compute / np.where(part.compute > 0, part.compute, 1.0)[compute.of]
    d = reduced.option_cost + (request_price - reduced.fallback)[reduced.option_request]
    d += work_price[reduced.option_site] * reduced.option_compute
    option, unit = expand(reduced.bundle_units, reduced.option_bundle)
    key = reduced.option_request[option] * reduced.unit_cost.size + unit
    place = np.searchsorted(links.of, key)
    known = np.append(links.of, -1)[place] == key
    d += totals(option[known], of_link[place[known]], d.size)
    return d, ~known, key


def _useful(reduced: Reduced, d: Floats, options: Ints) -> Ints:
    """Options of negative d that are not among those given, the most negative of each request."""
    outside = np.ones(d.size, dtype=bool)
    outside[options] = False
    candidates = np.flatnonzero(outside & (d < -1e-9))
    return _least(reduced, candidates, d[candidates], ADDED)


def _consistent(reduced: Reduced, x: Floats) -> tuple[Floats, Floats]:
    """x without dust and with sums of at most 1, and the least y for it."""
    x = np.where(x > LEAST, x, 0.0)
    total = totals(reduced.option_request, x, reduced.fallback.size)
    x = x / np.maximum(total, 1.0)[reduced.option_request]
    _, unit, share = shares(reduced, x)
    y = np.zeros(reduced.unit_cost.size)
    np.maximum.at(y, unit, share)
    return x, np.minimum(y, 1.0)


def shares(reduced: Reduced, x: Floats) -> tuple[Ints, Ints, Floats]:
    """Request, unit and sum of x over the request's options that need the unit, where it is above
    0; by request, then by unit."""
    units = reduced.unit_cost.size
    chosen = np.flatnonzero(x)
    position, unit = expand(reduced.bundle_units, reduced.option_bundle[chosen])
    option = chosen[position]
    keys, place = np.unique(reduced.option_request[option] * units + unit, return_inverse=True)
    share = totals(place, x[option], keys.size)
    if not keys.size:
        return keys, keys, share
    return keys // units, keys % units, np.minimum(share, 1.0)

"""A pulling problem as arrays, without what no best plan needs. [derived]

An option of a request needs a *bundle*: the blocks of its model that are missing at its site. Left
out are options that

- cannot be chosen: alone they pass the site's storage or compute;
- are never better than the data centre, a_ro >= fallback (a pull costs 0 or more);
- are dominated by another option of the request at the same site, whose bundle is a subset and
  whose cost and compute are no more.

Blocks that belong to the same bundles of a site are pulled together or not at all, so they are one
*unit*, with the sum of their sizes and pull costs. Where all bundles with unit u hold unit v, too,
pulling u without v is of no use: u is *over* v, and y_u <= y_v may be demanded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trunkline.pulling.costs import Chosen
from trunkline.pulling.lists import Floats, Ints, Lists
from trunkline.pulling.problem import TOLERANCE, Option, PullingProblem, Request

DATA_CENTRE = -1
"""Stands for an option where the data centre serves a request."""

Missing = frozenset[str]
"""The blocks of an option that are not resident at its site."""


@dataclass(frozen=True)
class Reduced:
    """Arrays over requests r, sites c, units u, bundles k and options o.

    Attributes:
        fallback: (r) what the data centre costs.
        storage, compute: (c) limits, S_c and W_c.
        unit_site, unit_size, unit_cost: (u) c, s_u and p_u.
        bundle_site: (k) c.
        bundle_units: for each bundle its units.
        over: (pairs, 2) units u, v such that u is over v; none follows from two others.
        request_options: for each request its options, which are numbered in this order.
        option_bundle, option_cost, option_compute: (o) k, a_o and w_o.
        named: (o) the option in the problem.
        unit_blocks: for each unit the ids of its blocks.
    """

    problem: PullingProblem
    fallback: Floats
    storage: Floats
    compute: Floats
    unit_site: Ints
    unit_size: Floats
    unit_cost: Floats
    bundle_site: Ints
    bundle_units: Lists
    over: Ints
    request_options: Lists
    option_bundle: Ints
    option_cost: Floats
    option_compute: Floats
    named: tuple[Option, ...]
    unit_blocks: tuple[tuple[str, ...], ...]

    @cached_property
    def option_request(self) -> Ints:
        """(o) the request of each option."""
        return self.request_options.owner

    @cached_property
    def option_site(self) -> Ints:
        """(o) the site of each option."""
        return self.bundle_site[self.option_bundle]

    @cached_property
    def unit_bundles(self) -> Lists:
        """For each unit the bundles that hold it."""
        return self.bundle_units.turned(self.unit_site.size)

    @cached_property
    def bundle_options(self) -> Lists:
        """For each bundle the options that need it."""
        count = self.bundle_site.size
        return Lists(np.arange(self.option_bundle.size + 1), self.option_bundle).turned(count)


def reduce(problem: PullingProblem) -> Reduced:
    """The arrays of a problem."""
    useful = _Useful(problem)
    kept = [useful.of(request) for request in problem.requests]
    bundles: dict[tuple[int, Missing], int] = {}
    option_bundle = [
        bundles.setdefault((problem.site_index[option.site], missing), len(bundles))
        for options in kept
        for option, missing in options
    ]
    units = _Units(problem, list(bundles))
    named = tuple(option for options in kept for option, _ in options)
    starts = np.cumsum([0, *map(len, kept)]).astype(np.int64)
    return Reduced(
        problem=problem,
        fallback=np.array([r.fallback_cost for r in problem.requests], dtype=float),
        storage=np.array([s.storage_bytes for s in problem.sites], dtype=float),
        compute=np.array([s.compute for s in problem.sites], dtype=float),
        unit_site=np.array(units.site, dtype=np.int64),
        unit_size=np.array(units.size, dtype=float),
        unit_cost=np.array(units.cost, dtype=float),
        bundle_site=np.array([c for c, _ in bundles], dtype=np.int64),
        bundle_units=Lists.of(units.of_bundle),
        over=np.array(units.over, dtype=np.int64).reshape(-1, 2),
        request_options=Lists(starts, np.arange(len(named))),
        option_bundle=np.array(option_bundle, dtype=np.int64),
        option_cost=np.array([o.cost for o in named], dtype=float),
        option_compute=np.array([o.compute for o in named], dtype=float),
        named=named,
        unit_blocks=tuple(units.blocks),
    )


def scaled(reduced: Reduced, scale: float) -> Reduced:
    """The same with costs in units of `scale`, and none of requests without options; a pull that
    costs more than all requests at the data centre together is never made, and costs just that."""
    fallback = np.zeros_like(reduced.fallback)
    asked = np.unique(reduced.option_request)
    fallback[asked] = reduced.fallback[asked]
    return replace(
        reduced,
        fallback=fallback / scale,
        option_cost=reduced.option_cost / scale,
        unit_cost=np.minimum(reduced.unit_cost, 1.01 * fallback.sum()) / scale,
    )


def options_of(reduced: Reduced, choice: Ints) -> Chosen:
    """The options of the problem that a choice, one number for each request, stands for."""
    return [None if o == DATA_CENTRE else reduced.named[o] for o in choice.tolist()]


class _Useful:
    """Which options of a request some best plan may choose."""

    def __init__(self, problem: PullingProblem) -> None:
        self._problem = problem
        self._missing: dict[tuple[str, tuple[str, ...]], tuple[Missing, bool]] = {}

    def of(self, request: Request) -> list[tuple[Option, Missing]]:
        """The useful options with the blocks they miss, by site, the cheapest first."""
        problem = self._problem
        by_site: dict[str, list[tuple[Option, Missing]]] = {}
        for option in sorted(request.options, key=lambda o: (o.cost, o.compute, o.model)):
            missing, fits = self._missing_of(option)
            site = problem.sites[problem.site_index[option.site]]
            if not fits or option.compute > site.compute * (1 + TOLERANCE):
                continue
            kept = by_site.setdefault(option.site, [])
            if option.cost < request.fallback_cost and not any(
                other <= missing and o.compute <= option.compute for o, other in kept
            ):
                kept.append((option, missing))
        order = sorted(by_site, key=problem.site_index.__getitem__)
        return [one for site in order for one in by_site[site]]

    def _missing_of(self, option: Option) -> tuple[Missing, bool]:
        """The blocks that an option misses, and whether its site can store them."""
        key = (option.site, option.blocks)
        if key not in self._missing:
            problem = self._problem
            missing = problem.missing(option)
            size = math.fsum(problem.blocks[b] for b in missing)
            storage = problem.sites[problem.site_index[option.site]].storage_bytes
            self._missing[key] = missing, size <= storage * (1 + TOLERANCE)
        return self._missing[key]


class _Units:
    """The units of all sites, as lists over u (see `Reduced`)."""

    def __init__(self, problem: PullingProblem, bundles: list[tuple[int, Missing]]) -> None:
        self.site: list[int] = []
        self.size: list[float] = []
        self.cost: list[float] = []
        self.blocks: list[tuple[str, ...]] = []
        self.over: list[tuple[int, int]] = []
        self.of_bundle: list[list[int]] = [[] for _ in bundles]
        at_site: dict[int, dict[str, set[int]]] = {}
        for k, (c, missing) in enumerate(bundles):
            for block in missing:
                at_site.setdefault(c, {}).setdefault(block, set()).add(k)
        for c in sorted(at_site):
            self._add_site(problem, c, at_site[c])

    def _add_site(self, problem: PullingProblem, c: int, holders: dict[str, set[int]]) -> None:
        """The units of a site, given the bundles that hold each block."""
        groups: dict[frozenset[int], list[str]] = {}
        for block in sorted(holders):
            groups.setdefault(frozenset(holders[block]), []).append(block)
        first, pull_cost = len(self.site), problem.sites[c].pull_cost
        for u, (members, blocks) in enumerate(groups.items(), start=first):
            self.site.append(c)
            self.size.append(math.fsum(problem.blocks[b] for b in blocks))
            self.cost.append(math.fsum(pull_cost.get(b, 0.0) for b in blocks))
            self.blocks.append(tuple(blocks))
            for k in members:
                self.of_bundle[k].append(u)
        sets = list(groups)
        for i, own in enumerate(sets):
            above = [j for j, other in enumerate(sets) if own < other]
            self.over += [
                (first + i, first + j) for j in above if not any(sets[h] < sets[j] for h in above)
            ]

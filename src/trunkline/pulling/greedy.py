"""`greedy`: again and again the bundle of blocks whose opening at a site saves most. [derived]

A bundle is what some options lack at one site (see `reduced.py`). To open it is to pull those of
its blocks that are not there yet, and to move to it the requests that its options serve for less
than what serves them now, the largest saving per unit of compute first, as far as the compute of
the site lasts. Its gain is what these requests save less what its missing blocks cost to pull:

    gain of k  =  sum over moved r of (cost of r now - a_ro)  -  sum over missing b of p_bc

The bundle of the largest gain is opened, among those whose missing blocks fit into what storage is
left, until none gains. A request that moves on frees its compute, while blocks stay; those that no
request needs in the end are not pulled.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.costs import plan_of
from trunkline.pulling.lists import Floats, Ints
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import TOLERANCE, PullingProblem
from trunkline.pulling.reduced import DATA_CENTRE, Reduced, options_of, reduce

LEAST_GAIN = 1e-12
"""A gain is more than this share of what the data centre would cost; less is rounding."""


def greedy(problem: PullingProblem) -> PullingPlan:
    """The plan that opens bundles of blocks in the order of what they save, all requests being at
    the data centre at first; of equal ones the first, by site in the problem's order."""
    reduced = reduce(problem)
    return plan_of(problem, "greedy", options_of(reduced, greedy_choice(reduced)))


def greedy_choice(reduced: Reduced) -> Ints:
    """For each request the number of its option, or `DATA_CENTRE`."""
    state = _State(reduced)
    least = LEAST_GAIN * float(reduced.fallback.sum())
    while (step := state.best_step(least)) is not None:
        state.open(*step)
    return state.choice


class _State:
    """The choices until now.

    Attributes:
        choice: (r) the option that serves each request.
        _cost: (r) what serves it now costs, without pulls.
        _opened: (u) which units have been pulled.
        _stored, _load: (c) bytes pulled, compute taken.
    """

    def __init__(self, reduced: Reduced) -> None:
        self._reduced = reduced
        self.choice = np.full(reduced.fallback.size, DATA_CENTRE, dtype=np.int64)
        self._cost = reduced.fallback.copy()
        self._opened = np.zeros(reduced.unit_cost.size, dtype=bool)
        self._stored, self._load = np.zeros(reduced.storage.size), np.zeros(reduced.compute.size)

    def best_step(self, least: float) -> tuple[int, Ints] | None:
        """The bundle whose opening gains most, and the options taken; None if none gains `least`.

        Without the limit of compute the gain is at least as large, so bundles are weighed in the
        order of that until no other can be better.
        """
        reduced = self._reduced
        saving = np.maximum(self._cost[reduced.option_request] - reduced.option_cost, 0.0)
        closed = ~self._opened
        price = reduced.bundle_units.sums(reduced.unit_cost * closed)
        size = reduced.bundle_units.sums(reduced.unit_size * closed)
        count = reduced.bundle_site.size
        most = np.bincount(reduced.option_bundle, weights=saving, minlength=count) - price
        room = (reduced.storage * (1 + TOLERANCE) - self._stored)[reduced.bundle_site]
        most[size > room] = -np.inf
        best, gain = None, least
        for k in np.argsort(-most, kind="stable").tolist():
            if most[k] <= gain:
                break
            taken = self._taken(k, saving)
            exact = float(saving[taken].sum() - price[k])
            if exact > gain:
                best, gain = (k, taken), exact
        return best

    def _taken(self, k: int, saving: Floats) -> Ints:
        """The options of a bundle that save something and that compute is left for, one for each
        request at most."""
        reduced = self._reduced
        site = reduced.bundle_site[k]
        options = reduced.bundle_options[k]
        options = options[saving[options] > 0]
        work = reduced.option_compute[options]
        with np.errstate(divide="ignore"):
            order = np.argsort(-saving[options] / work, kind="stable")
        left = reduced.compute[site] * (1 + TOLERANCE) - self._load[site]
        taken: dict[int, int] = {}
        for option, needs in zip(options[order].tolist(), work[order].tolist(), strict=True):
            request = int(reduced.option_request[option])
            if needs <= left and request not in taken:
                taken[request] = option
                left -= needs
        return np.array(list(taken.values()), dtype=np.int64)

    def open(self, k: int, taken: Ints) -> None:
        """Pull a bundle to its site and move requests to it."""
        reduced = self._reduced
        site = reduced.bundle_site[k]
        units = reduced.bundle_units[k]
        self._stored[site] += reduced.unit_size[units[~self._opened[units]]].sum()
        self._opened[units] = True
        requests = reduced.option_request[taken]
        left = self.choice[requests]
        left = left[left != DATA_CENTRE]
        np.subtract.at(self._load, reduced.option_site[left], reduced.option_compute[left])
        self._load[site] += reduced.option_compute[taken].sum()
        self.choice[requests] = taken
        self._cost[requests] = reduced.option_cost[taken]

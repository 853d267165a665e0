"""R6 of the rounding: ruin and recreate, again and again. [derived]

A round takes a few sites that suit the same requests and closes about half of the bundles that are
in use there. Their requests first take what is open anywhere. Then bundles are opened at these
sites, one after the other: the one of which requests gain most beyond what its missing units cost
(as a whole, or per byte), with some noise, as far as storage and compute last. Who is left takes
what is open.

The result is kept if it costs no more than a little above the best until now, and less and less
above it; a new best is improved by the moves of `improve`. (The principle: Schrimpf et al. 2000.)
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.assignment import Assignment
from trunkline.pulling.improve import LEAST_GAIN, TINY, improve, move_requests
from trunkline.pulling.lists import Floats, Ints, Lists, expand, totals
from trunkline.pulling.reduced import DATA_CENTRE, Reduced
from trunkline.timing import TimeLimit

MOST_SITES = 4
"""Sites of a round, at most."""

KEPT = 0.5
"""The share of bundles that stay open."""

NOISE = 0.3
"""What a bundle gains is multiplied by 1 to 1 + this."""

WORSE = 0.01
"""How far above the best cost, relatively, a result may be in the first round; 0 in the last."""

NEAR = 3.0
"""The third best site of a request counts exp(-3/NEAR) of the best one."""


def ruin_and_recreate(
    plan: Assignment, rounds: int, rng: np.random.Generator, enough: float, limit: TimeLimit
) -> Assignment:
    """The best feasible choices found from feasible ones, in so many rounds, or until they cost
    `enough` or the limit is up."""
    ruin = _Ruin(plan.reduced, rng)
    best = plan.copy()
    for n in range(rounds):
        if limit.is_up or best.cost <= enough or not ruin.sites.size:
            break
        other = plan.copy()
        ruin.round(other)
        if other.cost < best.cost * (1 - LEAST_GAIN):
            move_requests(other, limit)
            best = other.copy()
        if other.cost <= max(plan.cost, best.cost * (1 + WORSE * (1 - n / rounds))):
            plan = other
    improve(best, limit)
    return best


class _Ruin:
    """Rounds on one problem."""

    def __init__(self, reduced: Reduced, rng: np.random.Generator) -> None:
        self._reduced, self._rng = reduced, rng
        count = reduced.storage.size
        self._options = _by(reduced.option_site, count)
        self._bundles = _by(reduced.bundle_site, count)
        self._nearness = np.cumsum(nearness(reduced), axis=1)
        self.sites = np.unique(reduced.bundle_site)

    def round(self, plan: Assignment) -> None:
        """Change feasible choices to others."""
        sites = self._some_sites()
        bundles = expand(self._bundles, sites)[1]
        gone = np.zeros(self._reduced.bundle_site.size + 1, dtype=bool)  # the last: data centre
        gone[bundles[self._rng.random(bundles.size) >= KEPT]] = True
        for request in np.flatnonzero(gone[plan.bundle]).tolist():
            plan.choose(request, DATA_CENTRE)
        self._reinsert(plan)
        self._open_again(plan, sites, bundles)
        self._reinsert(plan)

    def _some_sites(self) -> Ints:
        """A site and some that suit the same requests, ascending."""
        first = int(self._rng.choice(self.sites))
        near = self._nearness[first]
        aims = self._rng.random(int(self._rng.integers(MOST_SITES))) * near[-1]
        others = np.searchsorted(near, aims, side="right") if near[-1] > 0 else aims[:0]
        return np.unique(np.append(others, first)).astype(np.int64)

    def _reinsert(self, plan: Assignment) -> None:
        """Requests at the data centre, in random order, take their cheapest option that is open and
        has compute left."""
        reduced = self._reduced
        waiting = np.flatnonzero(plan.choice == DATA_CENTRE)
        options = expand(reduced.request_options, self._rng.permutation(waiting))
        place, option = options
        usable = plan.bundle_is_open()[reduced.option_bundle[option]]
        place, option = place[usable], option[usable]
        order = np.lexsort((reduced.option_cost[option], place))
        for o in option[order].tolist():
            request, site = int(reduced.option_request[o]), reduced.option_site[o]
            fits = plan.load[site] + reduced.option_compute[o] <= plan.most_load[site]
            if fits and plan.choice[request] == DATA_CENTRE:
                plan.choose(request, o)

    def _open_again(self, plan: Assignment, sites: Ints, bundles: Ints) -> None:
        """Open bundles of the sites until none gains."""
        reduced, rng = self._reduced, self._rng
        view = _View(reduced, expand(self._options, sites)[1], bundles)
        weight = 1.0 + NOISE * rng.random(bundles.size)
        per_byte = rng.random() < 0.5
        barred = np.zeros(bundles.size, dtype=bool)
        least = LEAST_GAIN * plan.cost
        while True:
            gain, size = view.gains(plan)
            possible = (gain > least) & ~barred
            possible &= plan.stored[view.site] + size <= plan.most_stored[view.site]
            if not possible.any():
                return
            score = gain * weight
            if per_byte:
                score /= size + 0.05 * reduced.storage[view.site] + TINY
            best = int(np.argmax(np.where(possible, score, -np.inf)))
            if not view.take(plan, best):
                barred[best] = True


class _View:
    """The options and bundles of a few sites."""

    def __init__(self, reduced: Reduced, options: Ints, bundles: Ints) -> None:
        self._reduced = reduced
        self._options, self._count = options, bundles.size
        self.site = reduced.bundle_site[bundles]
        local = np.empty(reduced.bundle_site.size, dtype=np.int64)
        local[bundles] = np.arange(bundles.size)
        self._bundle = local[reduced.option_bundle[options]]
        self._request = reduced.option_request[options]
        self._cost, self._work = reduced.option_cost[options], reduced.option_compute[options]
        self._holder, self._unit = expand(reduced.bundle_units, bundles)

    def _savings(self, plan: Assignment) -> Floats:
        """For each option what its request saves by it; 0 where compute does not last."""
        saving = np.maximum(plan.request_cost[self._request] - self._cost, 0.0)
        left = (plan.most_load - plan.load)[self.site[self._bundle]]
        return np.where(self._work <= left, saving, 0.0)

    def gains(self, plan: Assignment) -> tuple[Floats, Floats]:
        """For each bundle what all requests save less its missing units' cost, and their size."""
        closed = ~plan.open[self._unit]
        cost = self._reduced.unit_cost[self._unit] * closed
        size = self._reduced.unit_size[self._unit] * closed
        saved = totals(self._bundle, self._savings(plan), self._count)
        saved -= totals(self._holder, cost, self._count)
        return saved, totals(self._holder, size, self._count)

    def take(self, plan: Assignment, bundle: int) -> bool:
        """Move requests to a bundle that there is room for, if the cost falls by it."""
        saving = self._savings(plan)
        mine = np.flatnonzero((self._bundle == bundle) & (saving > 0))
        order = mine[np.argsort(-saving[mine] / np.maximum(self._work[mine], TINY), kind="stable")]
        site, before = self.site[bundle], plan.cost
        undo: dict[int, int] = {}
        for i in order.tolist():
            request = int(self._request[i])
            if plan.load[site] + self._work[i] <= plan.most_load[site] and request not in undo:
                undo[request] = int(plan.choice[request])
                plan.choose(request, int(self._options[i]))
        if plan.cost < before and plan.is_feasible:
            return True
        for request, option in undo.items():
            plan.choose(request, option)
        return False


def _by(groups: Ints, count: int) -> Lists:
    """For each of `count` groups its members."""
    return Lists(np.arange(groups.size + 1), groups).turned(count)


def nearness(reduced: Reduced) -> Floats:
    """(c, c) how much two sites suit the same requests, at least a little; 0 on the diagonal.

    The sum over requests of exp(-(i + j) / NEAR), where the sites are its i-th and j-th cheapest.
    """
    best = np.full((reduced.fallback.size, reduced.storage.size), np.inf)
    np.minimum.at(best, (reduced.option_request, reduced.option_site), reduced.option_cost)
    rank = best.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    weight = np.where(np.isfinite(best), np.exp(-rank / NEAR), 0.0)
    near = weight.T @ weight
    used = near.diagonal() > 0
    near[np.ix_(used, used)] += 1e-3
    np.fill_diagonal(near, 0.0)
    return near

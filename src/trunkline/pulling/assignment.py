"""Which option serves each request, with what that pulls, stores and computes, kept up to date."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from trunkline.pulling.lists import Floats, Ints, totals
from trunkline.pulling.problem import TOLERANCE
from trunkline.pulling.reduced import DATA_CENTRE, Reduced


class Assignment:
    """A choice for each request; units that some chosen option needs are open, the others not.

    Attributes:
        choice: (r) the option, or `DATA_CENTRE`. Change it by `choose` only.
        users: (u) how many requests use each unit.
        stored: (c) sum of s_u over the open units.
        load: (c) sum of w_o over the choices.
        cost: the objective.
        most_stored, most_load: (c) the limits S_c and W_c, with their tolerance.
    """

    def __init__(self, reduced: Reduced, choice: Ints | None = None) -> None:
        self.reduced = reduced
        self.most_stored = reduced.storage * (1 + TOLERANCE)
        self.most_load = reduced.compute * (1 + TOLERANCE)
        if choice is None:
            choice = np.full(reduced.fallback.size, DATA_CENTRE, dtype=np.int64)
        self.choice = choice.astype(np.int64, copy=True)
        chosen = choice[choice != DATA_CENTRE]
        times = np.bincount(reduced.option_bundle[chosen], minlength=reduced.bundle_site.size)
        units = reduced.bundle_units
        users = totals(units.items, times[units.owner].astype(float), reduced.unit_cost.size)
        self.users = users.astype(np.int64)
        sites = reduced.storage.size
        size = reduced.unit_size * self.open
        self.stored = totals(reduced.unit_site, size, sites)
        work = reduced.option_compute[chosen]
        self.load = totals(reduced.option_site[chosen], work, sites)
        self.cost = float(self.request_cost.sum() + reduced.unit_cost[self.open].sum())

    def copy(self) -> Assignment:
        """The same choices, to be changed apart."""
        other = copy.copy(self)
        for name in ("choice", "users", "stored", "load"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def choose(self, request: int, option: int) -> None:
        """Serve a request by an option, or at the `DATA_CENTRE`."""
        self._count(request, int(self.choice[request]), -1)
        self.choice[request] = option
        self._count(request, option, +1)

    def _count(self, request: int, option: int, by: int) -> None:
        """Enter (+1) or take back (-1) that an option serves a request."""
        reduced = self.reduced
        if option == DATA_CENTRE:
            self.cost += by * float(reduced.fallback[request])
            return
        site = int(reduced.option_site[option])
        units = reduced.bundle_units[int(reduced.option_bundle[option])]
        alone = units[self.users[units] == (0 if by > 0 else 1)]
        self.users[units] += by
        self.stored[site] += by * float(reduced.unit_size[alone].sum())
        self.load[site] += by * float(reduced.option_compute[option])
        self.cost += by * float(reduced.option_cost[option] + reduced.unit_cost[alone].sum())

    @property
    def open(self) -> NDArray[np.bool_]:
        """(u) whether a unit is used."""
        return self.users > 0

    @property
    def request_cost(self) -> Floats:
        """(r) a_o of the choice, or the fallback's cost."""
        served = self.choice != DATA_CENTRE
        cost = self.reduced.fallback.copy()
        cost[served] = self.reduced.option_cost[self.choice[served]]
        return cost

    @property
    def is_feasible(self) -> bool:
        """Whether storage and compute of every site suffice."""
        fits = (self.stored <= self.most_stored) & (self.load <= self.most_load)
        return bool(fits.all())

    def users_of(self, unit: int) -> Ints:
        """The requests that use a unit, ascending."""
        needs = np.zeros(self.reduced.bundle_site.size + 1, dtype=bool)
        needs[self.reduced.unit_bundles[unit]] = True
        return np.flatnonzero(needs[self.bundle])  # -1, the data centre, is the last

    @property
    def bundle(self) -> Ints:
        """(r) the bundle of the choice; -1 at the data centre."""
        served = self.choice != DATA_CENTRE
        bundle = np.full(self.choice.size, -1, dtype=np.int64)
        bundle[served] = self.reduced.option_bundle[self.choice[served]]
        return bundle

    def missing_cost(self) -> Floats:
        """(k) what the units of each bundle that are not open would cost."""
        return self.reduced.bundle_units.sums(self.reduced.unit_cost * ~self.open)

    def missing_size(self) -> Floats:
        """(k) what the units of each bundle that are not open would take."""
        return self.reduced.bundle_units.sums(self.reduced.unit_size * ~self.open)

    def bundle_is_open(self) -> NDArray[np.bool_]:
        """(k) whether all units of a bundle are open."""
        closed = np.zeros(self.reduced.bundle_site.size, dtype=bool)
        units = self.reduced.bundle_units
        closed[units.owner[~self.open[units.items]]] = True
        return ~closed

    def own_cost(self) -> Floats:
        """(r) what the units cost that the request alone uses."""
        of_bundle = self.reduced.bundle_units.sums(self.reduced.unit_cost * (self.users == 1))
        return np.append(of_bundle, 0.0)[self.bundle]  # -1, the data centre, is the last

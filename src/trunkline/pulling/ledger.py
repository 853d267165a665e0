"""What is pulled and computed at each site while a plan is made request by request."""

from __future__ import annotations

import math

from trunkline.pulling.problem import TOLERANCE, Option, PullingProblem, Site


class Ledger:
    """The options taken until now, and what a further one would add to them."""

    def __init__(self, problem: PullingProblem) -> None:
        self._problem = problem
        self._pulled: dict[str, set[str]] = {site.id: set() for site in problem.sites}
        self._stored = dict.fromkeys(self._pulled, 0.0)
        self._computed = dict.fromkeys(self._pulled, 0.0)

    def lacking(self, option: Option) -> frozenset[str]:
        """The blocks that an option needs and that are neither resident nor pulled there."""
        return self._problem.missing(option) - self._pulled[option.site]

    def added_cost(self, option: Option) -> float:
        """What an option costs, with the pulls of the blocks that are lacking."""
        prices = self._site(option).pull_cost
        return math.fsum([option.cost, *(prices.get(b, 0.0) for b in self.lacking(option))])

    def fits(self, option: Option) -> bool:
        """Whether the site's storage and compute are enough for an option more."""
        site = self._site(option)
        stored = self._stored[site.id] + self._bytes(option)
        computed = self._computed[site.id] + option.compute
        room, speed = site.storage_bytes * (1 + TOLERANCE), site.compute * (1 + TOLERANCE)
        return stored <= room and computed <= speed

    def take(self, option: Option) -> None:
        """Enter an option."""
        self._stored[option.site] += self._bytes(option)
        self._computed[option.site] += option.compute
        self._pulled[option.site] |= self.lacking(option)

    def _site(self, option: Option) -> Site:
        return self._problem.sites[self._problem.site_index[option.site]]

    def _bytes(self, option: Option) -> float:
        return math.fsum(self._problem.blocks[block] for block in self.lacking(option))

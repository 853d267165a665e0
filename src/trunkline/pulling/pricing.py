"""What serving a request and pulling a block take in a scenario: seconds, joules, cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from trunkline.pulling.network import Reach
from trunkline.pulling.scenario import CandidateModel, Demand, Place, Scenario


@dataclass(frozen=True, slots=True)
class Part:
    """A request's own part at a place, without pulling; any time may be infinite.

    Attributes:
        transmission_s: T(home, c, D_r) + T(c, home, o_r).
        inference_s: kappa_m rho_r / F_c.
        queue_s: the mean wait of the place's queue.
        energy_j: the place's powers times the seconds it transfers and computes.
        accuracy: acc_rm.
    """

    transmission_s: float
    inference_s: float
    queue_s: float
    energy_j: float
    accuracy: float

    @property
    def delay_s(self) -> float:
        """The seconds from the request to its answer, without pulling."""
        return self.transmission_s + self.inference_s + self.queue_s


@dataclass(frozen=True, slots=True)
class Fallback:
    """How a request is served at the data centre."""

    model: str
    part: Part


class Pricing:
    """A scenario's times and costs; network delays are computed once each.

    Derived: cost = seconds + `seconds_per_joule` times joules. At the data centre a request is
    served by the model that costs least among those that reach its accuracy (the more accurate of
    two that cost the same).
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._reaches: dict[tuple[frozenset[str], float], Reach] = {}

    def pull_s(self, block: str, site: str) -> float:
        """delta_bc: seconds from the nearest holder to the site; infinite without a path."""
        return self._pull(block).seconds.get(site, math.inf)

    def source(self, block: str, site: str) -> str | None:
        """The nearest holder of a block, the site itself where it is resident; None if no holder
        reaches the site."""
        return self._pull(block).source.get(site)

    def per_second(self, place: Place) -> float:
        """What a second of receiving at a place costs: 1 + its power in terms of delay."""
        return 1.0 + self.scenario.seconds_per_joule * place.transfer_w

    def part(self, demand: Demand, model: CandidateModel, accuracy: float, place: Place) -> Part:
        """A request's own part of an option."""
        moved_s = self._between(demand.home, place.id, demand.input_bytes)
        moved_s += self._between(demand.home, place.id, demand.output_bytes)
        computed_s = model.flop_per_unit * demand.units / place.flop_per_s
        waited_s = place.queue.wait_s if place.queue is not None else 0.0
        energy_j = place.compute_w * computed_s
        energy_j += place.transfer_w * moved_s if place.transfer_w else 0.0
        return Part(moved_s, computed_s, waited_s, energy_j, accuracy)

    def cost(self, part: Part) -> float:
        """a_ro of a part."""
        if not self.scenario.seconds_per_joule:
            return part.delay_s
        return part.delay_s + self.scenario.seconds_per_joule * part.energy_j

    def fallback(self, demand: Demand) -> Fallback | None:
        """How the data centre serves a request; None where no model reaches its accuracy. Its cost
        is infinite where there is no path, or no end to the queue."""
        served = [
            Fallback(model.id, self.part(demand, model, accuracy, self.scenario.data_centre))
            for model, accuracy in self.scenario.candidates(demand)
        ]
        if not served:
            return None
        return min(served, key=lambda one: (self.cost(one.part), -one.part.accuracy))

    def _pull(self, block: str) -> Reach:
        return self._reach(self._holders[block], self.scenario.blocks[block])

    def _between(self, home: str, place: str, size_bytes: float) -> float:
        return self._reach((home,), size_bytes).seconds.get(place, math.inf)

    def _reach(self, sources: Iterable[str], size_bytes: float) -> Reach:
        key = (frozenset(sources), size_bytes)
        if key not in self._reaches:
            self._reaches[key] = self.scenario.network.reach(*key)
        return self._reaches[key]

    @cached_property
    def _holders(self) -> dict[str, frozenset[str]]:
        """H_b of every block: the data centre, and the sites where it is resident."""
        centre = self.scenario.data_centre.id
        found = {block: {centre} for block in self.scenario.blocks}
        for site in self.scenario.cloudlets:
            for block in site.resident:
                found[block].add(site.id)
        return {block: frozenset(holders) for block, holders in found.items()}

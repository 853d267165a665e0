"""What a plan means in the scenario behind its problem: seconds, joules, accuracy, bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.plan import Choice, PullingPlan
from trunkline.pulling.pricing import Part, Pricing
from trunkline.pulling.scenario import CandidateModel, Cloudlet, Demand


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a plan.

    Attributes:
        delay_s: total delay of all requests, in the scenario's accounting: their own parts, and
            each pull once (`once`) or each request's wait for its own parts (`paper`).
        energy_j: of all requests and of all pulls, each pull once.
        accuracy: mean over the requests; NaN without requests.
        served_at_sites: how many requests are not served at the data centre.
        pulled_bytes: over all sites.
        apart_bytes: what the sites would pull if models shared nothing: for each model chosen at a
            site, the bytes of the blocks that it lacks there.
    """

    delay_s: float
    energy_j: float
    accuracy: float
    served_at_sites: int
    pulled_bytes: float
    apart_bytes: float

    @property
    def saved_bytes(self) -> float:
        """The bytes that need not be pulled since models share blocks."""
        return self.apart_bytes - self.pulled_bytes


def outcome_of(pricing: Pricing, plan: PullingPlan) -> Outcome:
    """The figures of a plan, from the scenario's definitions (not from the problem's costs).

    Raises:
        UnsupportedProblemError: the plan is of another scenario.
    """
    try:
        return _Ledger(pricing).outcome(plan)
    except KeyError as error:
        raise UnsupportedProblemError(f"the plan is of another scenario: {error}") from None


class _Ledger:
    """A scenario's parts by id; a name that leads nowhere is a KeyError."""

    def __init__(self, pricing: Pricing) -> None:
        self.pricing = pricing
        self.sites: dict[str, Cloudlet] = {one.id: one for one in pricing.scenario.cloudlets}
        self.models: dict[str, CandidateModel] = {one.id: one for one in pricing.scenario.models}

    def outcome(self, plan: PullingPlan) -> Outcome:
        scenario = self.pricing.scenario
        chosen = {choice.request: choice for choice in plan.choices}
        parts = [self._part(demand, chosen[demand.id]) for demand in scenario.demands]
        pulls_s = [self.pricing.pull_s(pull.block, pull.site) for pull in plan.pulls]
        powers_w = [self.sites[pull.site].transfer_w for pull in plan.pulls]
        pulls_j = [s * w for s, w in zip(pulls_s, powers_w, strict=True)]
        placed = [_placed(choice) for choice in plan.choices if choice.site is not None]
        waits_s = pulls_s
        if scenario.accounting == "paper":
            waits_s = [self._wait_s(site, model) for site, model in placed]
        return Outcome(
            delay_s=math.fsum([*(part.delay_s for part in parts), *waits_s]),
            energy_j=math.fsum([*(part.energy_j for part in parts), *pulls_j]),
            accuracy=math.fsum(p.accuracy for p in parts) / len(parts) if parts else math.nan,
            served_at_sites=len(placed),
            pulled_bytes=math.fsum(scenario.blocks[pull.block] for pull in plan.pulls),
            apart_bytes=math.fsum(
                scenario.blocks[block]
                for site, model in sorted(set(placed))
                for block in self._missing(site, model)
            ),
        )

    def _part(self, demand: Demand, choice: Choice) -> Part:
        """A request's own part where the plan serves it."""
        if choice.site is None:
            fallback = self.pricing.fallback(demand)
            if fallback is None:
                raise KeyError(demand.id)
            return fallback.part
        site, name = _placed(choice)
        model = self.models[name]
        accuracy = model.accuracy_for(demand)
        if accuracy is None:
            raise KeyError(name)
        return self.pricing.part(demand, model, accuracy, self.sites[site])

    def _wait_s(self, site: str, model: str) -> float:
        """The longest of the delays with which a model's missing blocks come to a site."""
        waits_s = (self.pricing.pull_s(block, site) for block in self._missing(site, model))
        return max(waits_s, default=0.0)

    def _missing(self, site: str, model: str) -> list[str]:
        resident = self.sites[site].resident
        return [block for block in self.models[model].blocks if block not in resident]


def _placed(choice: Choice) -> tuple[str, str]:
    if choice.site is None or choice.model is None:
        raise KeyError(choice.request)
    return choice.site, choice.model

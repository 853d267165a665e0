"""From a scenario to the coefficients of a pulling problem.

Accuracy, budget, reachability and single-option size are filters here, not rows of the problem:
an option (m, c) of a request stands only if m reaches the accuracy, c may serve the request and
its queue has an end (lambda < mu), all missing blocks have a way to c and fit its storage by
themselves, the request's work fits its compute by itself, and the option's own part is within the
budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.pricing import Pricing
from trunkline.pulling.problem import TOLERANCE, Option, PullingProblem, Request, Site
from trunkline.pulling.scenario import CandidateModel, Cloudlet, Demand, Scenario


@dataclass(frozen=True)
class ScenarioProblem(PullingProblem):
    """A pulling problem that remembers what its coefficients come from.

    Attributes:
        pricing: of the scenario; no part of what the problem is.
    """

    pricing: Pricing | None = field(default=None, compare=False, repr=False)


def compile_scenario(scenario: Scenario, pricing: Pricing | None = None) -> ScenarioProblem:
    """The problem of a scenario (derived).

    With `once` accounting p_bc is the cost of moving block b to c from the nearest holder. With
    `paper` accounting every request waits for the parts of its own model, which come in parallel:
    the longest of their delays is added to the option's cost and all p_bc are 0; storage counts
    a block once in both.

    Args:
        pricing: of the same scenario, where its network delays are to be used again.

    Raises:
        UnsupportedProblemError: a request cannot be served even at the data centre.
    """
    pricing = pricing or Pricing(scenario)
    sites = tuple(_site(pricing, cloudlet) for cloudlet in scenario.cloudlets)
    placed = {
        cloudlet.id: [_Placed(pricing, model, cloudlet) for model in scenario.models]
        for cloudlet in scenario.cloudlets
    }
    placed = {site: [one for one in rows if one.possible] for site, rows in placed.items()}
    requests = []
    for demand in scenario.demands:
        options = tuple(_options(pricing, demand, placed))
        requests.append(Request(demand.id, fallback_cost(pricing, demand), options))
    return ScenarioProblem(dict(scenario.blocks), sites, tuple(requests), pricing)


def fallback_cost(pricing: Pricing, demand: Demand) -> float:
    """What the data centre asks for a request.

    Raises:
        UnsupportedProblemError: no model reaches the request's accuracy, there is no path between
            its home and the data centre, the data centre's queue has no end (lambda >= mu), or the
            cost is no finite number.
    """
    found = pricing.fallback(demand)
    if found is None:
        text = f"no model serves request {demand.id!r} with accuracy {demand.accuracy:g}"
        raise UnsupportedProblemError(text)
    if math.isinf(found.part.transmission_s):
        text = f"request {demand.id!r}: no path from {demand.home!r} to the data centre"
        raise UnsupportedProblemError(text)
    if math.isinf(found.part.queue_s):
        raise UnsupportedProblemError("the data centre's queue has no end: lambda >= mu")
    cost = pricing.cost(found.part)
    if not math.isfinite(cost):
        raise UnsupportedProblemError(f"request {demand.id!r} costs too much to be a number")
    return cost


class _Placed:
    """A model at a site: what pulling it there means for every request."""

    def __init__(self, pricing: Pricing, model: CandidateModel, site: Cloudlet) -> None:
        self.model, self.site = model, site
        missing = [block for block in model.blocks if block not in site.resident]
        waits_s = [pricing.pull_s(block, site.id) for block in missing]
        size_bytes = math.fsum(pricing.scenario.blocks[block] for block in missing)
        self.wait_cost = 0.0
        if pricing.scenario.accounting == "paper":
            self.wait_cost = max(waits_s, default=0.0) * pricing.per_second(site)
        self.possible = size_bytes <= site.storage_bytes * (1 + TOLERANCE) and all(
            math.isfinite(wait_s) for wait_s in waits_s
        )


def _site(pricing: Pricing, cloudlet: Cloudlet) -> Site:
    pull_cost = {}
    if pricing.scenario.accounting == "once":
        for block in pricing.scenario.blocks:
            seconds = pricing.pull_s(block, cloudlet.id)
            if block not in cloudlet.resident and math.isfinite(seconds):
                pull_cost[block] = seconds * pricing.per_second(cloudlet)
    return Site(
        cloudlet.id,
        cloudlet.storage_bytes,
        cloudlet.capacity_flop_per_s,
        cloudlet.resident,
        pull_cost,
    )


def _options(
    pricing: Pricing, demand: Demand, placed: dict[str, list[_Placed]]
) -> Iterator[Option]:
    accuracies = {model.id: accuracy for model, accuracy in pricing.scenario.candidates(demand)}
    allowed = placed if demand.sites is None else set(demand.sites)
    for site, rows in placed.items():
        if site not in allowed:
            continue
        for one in rows:
            if one.model.id not in accuracies:
                continue
            option = _option(pricing, demand, one, accuracies[one.model.id])
            if option is not None:
                yield option


def _option(pricing: Pricing, demand: Demand, placed: _Placed, accuracy: float) -> Option | None:
    """The option of a model at a site, if it stands."""
    model, site = placed.model, placed.site
    part = pricing.part(demand, model, accuracy, site)
    cost = pricing.cost(part) + placed.wait_cost
    compute = model.flop_per_unit * demand.units / pricing.scenario.period_s
    if compute > site.capacity_flop_per_s * (1 + TOLERANCE) or not math.isfinite(cost):
        return None
    if demand.budget is not None and cost > demand.budget:
        return None
    moving = part.transmission_s * pricing.per_second(site)
    return Option(site.id, model.id, model.blocks, cost, compute, accuracy, moving)

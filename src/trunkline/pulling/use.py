"""What a plan asks of each site: requests, models, pulled bytes, and what sharing saves there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem, Site


@dataclass(frozen=True, slots=True)
class SiteUse:
    """What a plan asks of one site.

    Attributes:
        site: the site.
        requests: ids of the requests that it serves, in the problem's order.
        models: ids of the models that serve them, sorted.
        blocks: ids of the blocks pulled to it, sorted.
        pulled_bytes: the bytes of these blocks.
        apart_bytes: what would be pulled if models shared nothing: for each of the models, the
            bytes of the blocks that it lacks there.
        compute: the sum of w_ro of the options chosen there.
    """

    site: Site
    requests: tuple[str, ...]
    models: tuple[str, ...]
    blocks: tuple[str, ...]
    pulled_bytes: float
    apart_bytes: float
    compute: float

    @property
    def saved_bytes(self) -> float:
        """The bytes that need not be pulled since models share blocks, at least 0."""
        return max(0.0, self.apart_bytes - self.pulled_bytes)


def site_uses(problem: PullingProblem, plan: PullingPlan) -> list[SiteUse]:
    """What a plan asks of each site, in the problem's order; the plan has to hold for it."""
    options = {
        (request.id, option.site, option.model): option
        for request in problem.requests
        for option in request.options
    }
    requests: dict[str, list[str]] = {site.id: [] for site in problem.sites}
    lacking: dict[str, dict[str, frozenset[str]]] = {site.id: {} for site in problem.sites}
    compute = dict.fromkeys(requests, 0.0)
    blocks: dict[str, list[str]] = {site.id: [] for site in problem.sites}
    for choice in plan.choices:
        if choice.site is not None and choice.model is not None:
            option = options[choice.request, choice.site, choice.model]
            requests[choice.site].append(choice.request)
            before = lacking[choice.site].get(choice.model, frozenset())
            lacking[choice.site][choice.model] = before | problem.missing(option)
            compute[choice.site] += option.compute
    for pull in plan.pulls:
        blocks[pull.site].append(pull.block)

    def total(names: frozenset[str] | list[str]) -> float:
        return math.fsum(problem.blocks[name] for name in names)

    return [
        SiteUse(
            site=site,
            requests=tuple(requests[site.id]),
            models=tuple(sorted(lacking[site.id])),
            blocks=tuple(sorted(blocks[site.id])),
            pulled_bytes=total(blocks[site.id]),
            apart_bytes=math.fsum(total(names) for names in lacking[site.id].values()),
            compute=compute[site.id],
        )
        for site in problem.sites
    ]

"""What a plan moves to each site: models, requests, bytes pulled and bytes saved, from where."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem

Source = Callable[[str, str], str | None]
"""(block, site) -> from which node the block comes, None where that is not known."""


@dataclass(frozen=True, slots=True)
class SiteTraffic:
    """What a plan does at one site.

    Attributes:
        site: its id.
        requests: how many it serves.
        models: ids of the models that serve them.
        pulled_bytes: that come to it.
        whole_bytes: that would come if each of these models came whole, by itself.
        sources: bytes by the node that they come from; None where that is not known.
    """

    site: str
    requests: int = 0
    models: tuple[str, ...] = ()
    pulled_bytes: float = 0.0
    whole_bytes: float = 0.0
    sources: Mapping[str | None, float] = field(default_factory=dict)

    @property
    def saved_bytes(self) -> float:
        """What sharing and residency save; negative where more is pulled than is used."""
        return self.whole_bytes - self.pulled_bytes


def traffic(
    problem: PullingProblem, plan: PullingPlan, source: Source = lambda block, site: None
) -> tuple[SiteTraffic, ...]:
    """What a plan does at each of the problem's sites, in their order.

    Raises:
        UnsupportedProblemError: the plan names what the problem does not have.
    """
    blocks_of = {
        (request.id, option.site, option.model): option.blocks
        for request in problem.requests
        for option in request.options
    }
    served: dict[str, int] = defaultdict(int)
    models: dict[str, dict[str, float]] = defaultdict(dict)
    sources: dict[str, dict[str | None, float]] = defaultdict(lambda: defaultdict(float))
    try:
        for choice in plan.choices:
            if choice.site is not None and choice.model is not None:
                blocks = blocks_of[choice.request, choice.site, choice.model]
                served[choice.site] += 1
                size_bytes = math.fsum(problem.blocks[block] for block in blocks)
                models[choice.site][choice.model] = size_bytes
        for pull in plan.pulls:
            come_from = source(pull.block, pull.site)
            sources[pull.site][come_from] += problem.blocks[pull.block]
    except KeyError as error:
        raise UnsupportedProblemError(f"the plan is of another problem: no {error}") from None
    return tuple(
        SiteTraffic(
            site.id,
            served[site.id],
            tuple(sorted(models[site.id])),
            math.fsum(sources[site.id].values()),
            math.fsum(models[site.id].values()),
            dict(sources[site.id]),
        )
        for site in problem.sites
    )

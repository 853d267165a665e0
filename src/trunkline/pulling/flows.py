"""From where to where a plan's pulls go, in bytes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from trunkline.pulling.compiling import ScenarioProblem
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem


@dataclass(frozen=True, slots=True)
class Flow:
    """Blocks that go from one node to one site.

    Attributes:
        source: id of the nearest holder; None where the problem does not say who holds what.
        site: id of the site that pulls them.
        bytes: of all of them.
    """

    source: str | None
    site: str
    bytes: float


def flows(problem: PullingProblem, plan: PullingPlan) -> list[Flow]:
    """What a plan (that holds for the problem) pulls, by pair of source and site, in the pulls'
    order."""
    pricing = problem.pricing if isinstance(problem, ScenarioProblem) else None
    found: dict[tuple[str | None, str], float] = defaultdict(float)
    for pull in plan.pulls:
        source = None if pricing is None else pricing.source(pull.block, pull.site)
        found[source, pull.site] += problem.blocks[pull.block]
    return [Flow(source, site, moved) for (source, site), moved in found.items()]

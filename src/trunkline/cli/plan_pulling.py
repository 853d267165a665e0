"""What `trunkline plan` says of pulling plans."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.output import console, plain_table, say, seconds, shown
from trunkline.units import count, size, unit_of_size

if TYPE_CHECKING:
    from trunkline.pictures.sites import Geography
    from trunkline.pulling import PullingPlan, PullingProblem
    from trunkline.pulling.use import SiteUse

MOST_SITES = 40
"""The table names so many sites, those that pull most; the text below it counts all."""


def before(problem: PullingProblem) -> None:
    """What is to be said before planning: nothing."""


class View:
    """A pulling plan, beside the same site's pulls if models shared nothing."""

    def __init__(self, problem: PullingProblem, plan: PullingPlan, options: dict[str, Any]) -> None:
        self._problem, self._plan = problem, plan

    def draw(self, path: Path) -> None:
        """The map of the sites as a picture."""
        from trunkline.pictures import draw_sites
        from trunkline.pulling.flows import flows
        from trunkline.pulling.use import site_uses

        uses = site_uses(self._problem, self._plan)
        title = f"{self._plan.method}: {_moved(uses)}"
        draw_sites(path, title, uses, flows(self._problem, self._plan), _geography(self._problem))

    def print(self) -> None:
        """The sites as a table, and what the plan comes to."""
        from trunkline.pulling.use import site_uses

        out, plan = console(), self._plan
        uses = site_uses(self._problem, plan)
        busy = [use for use in uses if use.requests or use.blocks]
        if busy:
            self._table(busy)
        there = sum(choice.site is None for choice in plan.choices)
        say(
            out,
            f"{plan.method}: cost {plan.cost:.6g} ({_proof(plan)}); serves "
            f"{len(plan.choices) - there} of {count(len(plan.choices), 'request')} at "
            f"{count(len(busy), 'site')}, {there} at the data centre; planned in "
            f"{seconds(plan.solve_s)}",
        )
        say(out, _moved(uses))

    def _table(self, busy: list[SiteUse]) -> None:
        largest = sorted(busy, key=lambda use: -use.pulled_bytes)[:MOST_SITES]
        rows = [use for use in busy if use in largest]
        unit, scale = unit_of_size(max(use.apart_bytes for use in rows))
        title = count(len(busy), "site")
        if len(rows) < len(busy):
            title += f", the {len(rows)} that pull most"
        table = plain_table(
            title,
            *("site", "requests", "models", "blocks", f"pulls {unit}", f"saves {unit}", "storage"),
            left=("site",),
        )
        for use in rows:
            room = use.site.storage_bytes
            numbers = (len(use.requests), len(use.models), len(use.blocks))
            table.add_row(
                shown(use.site.id),
                *map(str, numbers),
                f"{use.pulled_bytes / scale:,.2f}",
                f"{use.saved_bytes / scale:,.2f}",
                f"{use.pulled_bytes / room:.0%}" if room else "-",
            )
        console().print(table)


def _moved(uses: list[SiteUse]) -> str:
    """What all sites pull, beside the same models as whole files."""
    pulled = math.fsum(use.pulled_bytes for use in uses)
    apart = math.fsum(use.apart_bytes for use in uses)
    share = f" ({1 - pulled / apart:.0%} less)" if apart > pulled else ""
    blocks = count(sum(len(use.blocks) for use in uses), "block")
    return f"pulls {blocks}, {size(pulled)}; the same models as whole files: {size(apart)}{share}"


def _geography(problem: PullingProblem) -> Geography | None:
    """Where a scenario's nodes are; None of a problem that is no scenario's."""
    from trunkline.pictures.sites import Geography
    from trunkline.pulling.compiling import ScenarioProblem

    if not isinstance(problem, ScenarioProblem) or problem.pricing is None:
        return None
    scenario = problem.pricing.scenario
    nodes = (*scenario.places, *scenario.access_points)
    return Geography(
        {node.id: node.position for node in nodes if node.position is not None},
        [link.ends for link in scenario.links],
        scenario.data_centre.id,
    )


def _proof(plan: PullingPlan) -> str:
    """What is proved of a plan's cost."""
    if plan.proven:
        return "proven least"
    if plan.bound > 0:
        return f"at most {plan.certificate:.4g} times the least, which is {plan.bound:.6g} or more"
    return "nothing is proved of the least"

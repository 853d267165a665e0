"""Who is asked for a block, in which order: the nearest holder first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.errors import InputError
from trunkline.pulling.scenario import Scenario
from trunkline.sites.document import SitesMap
from trunkline.store.manifest import Layer

Nearest = Callable[[Layer], tuple[str, ...]]
"""The sites to be asked for a blob, in order; after them comes the data centre."""


def as_listed(sites: SitesMap, site: str) -> Nearest:
    """The order of the sites' document: what `nearest` says of the site, else all others as they
    stand there. Whoever lacks a blob says so."""
    listed = sites.nearest.get(site, tuple(sites.sites))
    others = tuple(one for one in listed if one != site)
    return lambda layer: others


def by_scenario(scenario: Scenario, sites: SitesMap, site: str) -> Nearest:
    """The order by the least delay T(holder, site, s) of the scenario's network for a blob of s
    bytes. A block's holders are the sites where the scenario has it resident (others' pulls of the
    same plan may not be over); of them, those that are nearer than the data centre. A blob that is
    no block of the scenario (a model's small files) is asked of all those.

    Raises:
        InputError: the site is none of the scenario's.
    """
    if site not in {one.id for one in scenario.cloudlets}:
        raise InputError(f"the scenario has no site {site!r:.80}")
    holders: dict[str, set[str]] = {block: set() for block in scenario.blocks}
    for one in scenario.cloudlets:
        for block in one.resident:
            holders[block].add(one.id)
    ordered: dict[int, tuple[str, ...]] = {}

    def nearest(layer: Layer) -> tuple[str, ...]:
        if layer.size not in ordered:
            seconds = scenario.network.reach([site], layer.size).seconds
            ordered[layer.size] = _nearer(seconds, scenario.data_centre.id, sites, site)
        holding = holders.get(layer.digest)
        return tuple(one for one in ordered[layer.size] if holding is None or one in holding)

    return nearest


def _nearer(
    seconds: Mapping[str, float], data_centre: str, sites: SitesMap, site: str
) -> tuple[str, ...]:
    """The other sites that are nearer than the data centre, the nearest first."""
    limit = seconds.get(data_centre, float("inf"))
    near = [
        (seconds[one], one)
        for one in sites.sites
        if one != site and one in seconds and seconds[one] < limit
    ]
    return tuple(one for _, one in sorted(near))

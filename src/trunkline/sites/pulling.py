"""A site pulls what a plan gives to it: its models, each blob from the nearest who has it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from trunkline.errors import InputError, RegistryError
from trunkline.pulling.plan import PullingPlan
from trunkline.sites.document import Address, SitesMap
from trunkline.sites.holders import SHORT, DataCentre, Holder
from trunkline.sites.nearest import Nearest
from trunkline.store import PullReport, Store
from trunkline.store.digests import is_digest
from trunkline.store.importing import Progress
from trunkline.store.manifest import Layer
from trunkline.units import count

Showing = Callable[[str], AbstractContextManager[Progress]]
"""Makes what is told of the progress of a model's pull."""


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What a site pulled.

    Attributes:
        site: its id.
        models: one report for each model that the plan serves there, in the plan's order.
        sources: by holder (a site's id, or "data centre"), how many blobs came from it, and their
            bytes; a blob that several sent counts for the last. Manifests are not counted.
        unplanned: blocks that the site lacked and the plan does not list, as it took them to be
            there.
        unneeded: blocks that the plan lists and no model there has; they are not fetched.
        lost: holders that were given up on -> why.
    """

    site: str
    models: tuple[PullReport, ...]
    sources: Mapping[str, tuple[int, int]]
    unplanned: tuple[str, ...] = ()
    unneeded: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bytes_fetched(self) -> int:
        """Bytes that came over the network."""
        return sum(one.bytes_fetched for one in self.models)


def pull_to_site(
    store: Store,
    plan: PullingPlan,
    site: str,
    sites: SitesMap,
    nearest: Nearest,
    *,
    replace: bool = False,
    showing: Showing = lambda model: nullcontext(lambda done, total: None),
) -> SiteReport:
    """Pull to a site's store the models that a plan serves there.

    A model keeps its id as its name. What the store holds already is not fetched; what the plan
    says beyond the models' own blobs is not either.

    Args:
        nearest: who is asked for each blob before the data centre.
        replace: whether other models of those names may give way.

    Raises:
        InputError: the plan's blocks are no digests, or it knows no such site.
        RegistryError: a model could not be pulled; the others were.
        StoreError: as for `Store.pull`.
    """
    started = time.perf_counter()
    planned = _planned(plan, site, sites)
    wanted = list(dict.fromkeys(c.model for c in plan.choices if c.site == site and c.model))
    pulling = _Pulling(store, sites, nearest)
    reports, blocks = [], set[str]()
    failed: list[RegistryError] = []
    for model in wanted:
        try:
            with showing(model) as progress:
                reports.append(pulling.pull(model, replace, progress))
        except RegistryError as error:
            failed.append(error)
            continue
        blocks |= {block.digest for block in store.model(model).blocks}
    if failed:
        others = f" ({len(failed)} of {count(len(wanted), 'model')} failed)"
        raise type(failed[0])(f"{failed[0]}{others if len(wanted) > 1 else ''}", failed[0].status)
    return SiteReport(
        site,
        tuple(reports),
        pulling.sources(),
        tuple(sorted((blocks & pulling.served.keys()) - planned)),
        tuple(sorted(planned - blocks)),
        {one.name_of: str(one.lost) for one in pulling.holders.values() if one.lost},
        time.perf_counter() - started,
    )


class _Pulling:
    """The pulls of one site: connections, and who sent what."""

    def __init__(self, store: Store, sites: SitesMap, nearest: Nearest) -> None:
        self._store = store
        self._sites = sites
        self._nearest = nearest
        self._sizes: dict[str, int] = {}
        self.served: dict[str, str] = {}
        self.holders = {
            name: Holder(name, address, self.served, SHORT) for name, address in sites.sites.items()
        }

    def pull(self, model: str, replace: bool, progress: Progress) -> PullReport:
        """Pull one model."""
        reference = self._sites.reference_of(model)
        address = Address(reference, self._sites.data_centre.insecure)
        origin = DataCentre(address, self.served, lambda: self._asked(Layer("", 0, "")))
        return self._store.pull(
            origin, reference.target, model, holders=self._asked, replace=replace, progress=progress
        )

    def sources(self) -> dict[str, tuple[int, int]]:
        """Blobs and bytes by who sent them, the most bytes first."""
        blobs, sizes = Counter[str](), Counter[str]()
        for digest, name in self.served.items():
            blobs[name] += 1
            sizes[name] += self._sizes[digest]
        return {name: (blobs[name], size) for name, size in sizes.most_common()}

    def _asked(self, layer: Layer) -> list[Holder]:
        self._sizes[layer.digest] = layer.size
        near = (self.holders[name] for name in self._nearest(layer))
        return [holder for holder in near if holder.lost is None]


def _planned(plan: PullingPlan, site: str, sites: SitesMap) -> set[str]:
    """The blocks that a plan gives to a site."""
    named = {c.site for c in plan.choices} | {p.site for p in plan.pulls} | set(sites.sites)
    if site not in named:
        raise InputError(f"neither the plan nor the sites' document has a site {site!r:.80}")
    found = {pull.block for pull in plan.pulls if pull.site == site}
    for block in sorted(found):
        if not is_digest(block):
            raise InputError(
                f"the plan's block {block!r:.80} is no digest: a plan can be carried out where its "
                "problem names blocks by the digests of their blobs"
            )
    return found

"""The pulling problem: which model serves each request, and which blocks each site pulls.

Common Knowledge, in the canonical form of its coefficients (derived; the paper's body was not
available). A request r is served by one of its options o = (site c, model m), or at the data
centre. An option costs a_ro, and every block b of its model has to be at its site: one that is not
resident there is pulled once, whatever the number of requests that use it, and costs p_bc:

    minimise  sum of a_ro over the chosen options  +  sum of p_bc over the pulled (site, block)
    storage   sum of s_b over the blocks pulled to a site        <= S_c
    compute   sum of w_ro over the options chosen at a site      <= W_c

Where every request waits for its own pull instead (the paper's accounting, as read here), the wait
is part of a_ro and all p_bc are 0. Costs have any one unit, seconds as a rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

TOLERANCE = 1e-9
"""Storage and compute may pass their limit by this much, relatively (float rounding)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve a request.

    Attributes:
        site: id of the site c that serves it.
        model: id of the model m that serves it there.
        blocks: ids of the blocks of B_m, which have to be at the site.
        cost: a_ro, what the choice costs beside pulling (transmission, inference, queue).
        compute: w_ro, what it takes of the site's compute, in the unit of `Site.compute`.
        accuracy: of the model for this request, 0 to 1; None where it is not known.
        transmission_cost: the part of `cost` that moves the request's input and output; None where
            it is not known.
    """

    site: str
    model: str
    blocks: tuple[str, ...]
    cost: float
    compute: float = 0.0
    accuracy: float | None = None
    transmission_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        id: its name.
        fallback_cost: what serving it at the data centre costs; always possible.
        options: its options; a pair (site, model) stands once.
    """

    id: str
    fallback_cost: float
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One site (a cloudlet).

    Attributes:
        id: its name.
        storage_bytes: S_c, the bytes of blocks that may be pulled to it, beside what is resident.
        compute: W_c, the compute that its requests may take together.
        resident: ids of the blocks that are there already.
        pull_cost: p_bc of pulling block b to it, by block id; 0 where a block is not named.
    """

    id: str
    storage_bytes: float
    compute: float
    resident: frozenset[str] = field(default_factory=frozenset)
    pull_cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PullingProblem:
    """A pulling problem; `trunkline.load` makes one from a document, checked.

    Attributes:
        blocks: s_b, the size in bytes of each block, by its id.
        sites: the sites.
        requests: the requests.

    Raises:
        ValueError: two sites or requests of one id, an option given twice, an option, resident or
            pull_cost that names no site or block, or a negative or infinite number.
    """

    blocks: Mapping[str, float]
    sites: tuple[Site, ...]
    requests: tuple[Request, ...]

    def __post_init__(self) -> None:
        if len(self.site_index) != len(self.sites):
            raise ValueError("two sites have one id")
        if len({request.id for request in self.requests}) != len(self.requests):
            raise ValueError("two requests have one id")
        numbers = list(self.blocks.values())
        for site in self.sites:
            self._know(site.resident, f"site {site.id!r}")
            self._know(site.pull_cost, f"the pull_cost of site {site.id!r}")
            numbers += [site.storage_bytes, site.compute, *site.pull_cost.values()]
        for request in self.requests:
            if len({(o.site, o.model) for o in request.options}) != len(request.options):
                raise ValueError(f"request {request.id!r} has an option twice")
            numbers.append(request.fallback_cost)
            for option in request.options:
                if option.site not in self.site_index:
                    raise ValueError(f"request {request.id!r}: no site {option.site!r}")
                self._know(option.blocks, f"request {request.id!r}")
                numbers += [option.cost, option.compute]
                numbers += [option.accuracy or 0.0, option.transmission_cost or 0.0]
        for number in numbers:
            if not 0 <= number < math.inf:
                raise ValueError(f"sizes, costs and limits are at least 0 and finite, got {number}")

    def _know(self, blocks: Iterable[str], of: str) -> None:
        for block in blocks:
            if block not in self.blocks:
                raise ValueError(f"{of}: no block {block!r}")

    @cached_property
    def site_index(self) -> dict[str, int]:
        """The position of each site in `sites`, by id."""
        return {site.id: index for index, site in enumerate(self.sites)}

    def missing(self, option: Option) -> frozenset[str]:
        """The blocks of an option that are not resident at its site."""
        return frozenset(option.blocks) - self.sites[self.site_index[option.site]].resident

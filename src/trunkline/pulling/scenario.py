"""A pulling scenario: the network, the sites, the models and the requests that costs come from.

Common Knowledge's setting (its abstract; symbols of the derivation used here): cloudlets, a data
centre and access points joined by links; models made of blocks that other models use too; requests
with a demand and a need for accuracy. `compiling.compile_scenario` makes the coefficients of a
`PullingProblem` from it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from trunkline.pulling.network import Network, NetworkLink
from trunkline.pulling.queueing import Queue

Accounting = Literal["once", "paper"]
"""Who pays for a pull: each pulled block once, or every request the wait for its own model."""


@dataclass(frozen=True, slots=True)
class Cloudlet:
    """A site that can serve requests.

    Attributes:
        id: its name, and that of its node in the network.
        storage_bytes: S_c, bytes of blocks that may be pulled to it, beside what is resident.
        flop_per_s: F_c, the speed at which it computes one request.
        capacity_flop_per_s: W_c, what all its requests may take together.
        queue: requests wait in it before they are computed; None where nobody waits.
        compute_w, transfer_w: its power while it computes, and while it sends or receives.
        resident: ids of the blocks that are there already.
        position: (x, y) for pictures, in any unit (degrees east and north, say).
    """

    id: str
    storage_bytes: float
    flop_per_s: float
    capacity_flop_per_s: float
    queue: Queue | None = None
    compute_w: float = 0.0
    transfer_w: float = 0.0
    resident: frozenset[str] = field(default_factory=frozenset)
    position: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DataCentre:
    """Where all blocks are, and where every request can be served.

    Attributes:
        id: its name, and that of its node.
        flop_per_s: the speed at which it computes one request.
        queue: as at a cloudlet.
        compute_w, transfer_w: as at a cloudlet.
        position: for pictures.
    """

    id: str
    flop_per_s: float
    queue: Queue | None = None
    compute_w: float = 0.0
    transfer_w: float = 0.0
    position: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A node where requests may enter, and links meet; it serves nobody.

    Attributes:
        id: its name.
        position: for pictures.
    """

    id: str
    position: tuple[float, float] | None = None


Place = Cloudlet | DataCentre
"""Where a request can be served."""


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """A model that may serve requests.

    Attributes:
        id: its name.
        blocks: ids of the blocks of B_m, each once.
        flop_per_unit: kappa_m, work for a unit of demand (a token, say).
        accuracy: acc_rm, 0 to 1: one for all requests, or by id or type of request (an id goes
            before a type). A request that is not named cannot be served by it.
    """

    id: str
    blocks: tuple[str, ...]
    flop_per_unit: float
    accuracy: float | Mapping[str, float]

    def accuracy_for(self, demand: Demand) -> float | None:
        """acc_rm; None where the model cannot serve the request."""
        if not isinstance(self.accuracy, Mapping):
            return self.accuracy
        found = self.accuracy.get(demand.id)
        if found is None and demand.type is not None:
            found = self.accuracy.get(demand.type)
        return found


@dataclass(frozen=True, slots=True)
class Demand:
    """A request.

    Attributes:
        id: its name.
        home: id of the node where it enters the network, and where its answer goes.
        units: rho_r, its demand.
        input_bytes, output_bytes: D_r and o_r.
        type: the kind of task, by which models may have their accuracy.
        accuracy: alpha_r, the least accuracy that it needs.
        budget: the most that its own part a_ro may cost; None for no limit. The data centre always
            serves.
        sites: ids of the sites that may serve it; None for all.
    """

    id: str
    home: str
    units: float
    input_bytes: float = 0.0
    output_bytes: float = 0.0
    type: str | None = None
    accuracy: float = 0.0
    budget: float | None = None
    sites: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scenario:
    """A pulling scenario; `trunkline.load` makes its problem from a document, checked.

    Attributes:
        data_centre, cloudlets, access_points: the nodes.
        links: between them.
        blocks: s_b, the size in bytes of each block, by its id.
        models, demands: who may serve, and who asks.
        accounting: see `Accounting`.
        seconds_per_joule: what a joule costs in seconds of delay; 0 leaves energy out.
        period_s: the requests' work, kappa_m rho_r, is spread over so many seconds when it is held
            against W_c: w_ro = kappa_m rho_r / period_s.

    Raises:
        ValueError: two nodes, models or demands of one id, a name that leads nowhere, or a number
            that is negative or not finite (speeds: not above 0).
    """

    data_centre: DataCentre
    cloudlets: tuple[Cloudlet, ...]
    links: tuple[NetworkLink, ...]
    blocks: Mapping[str, float]
    models: tuple[CandidateModel, ...]
    demands: tuple[Demand, ...]
    access_points: tuple[AccessPoint, ...] = ()
    accounting: Accounting = "once"
    seconds_per_joule: float = 0.0
    period_s: float = 1.0

    def __post_init__(self) -> None:
        if self.accounting not in ("once", "paper"):
            raise ValueError(f"accounting is 'once' or 'paper', got {self.accounting!r}")
        nodes = set(self.network.nodes)  # which checks the links, too
        for what, things in (("models", self.models), ("requests", self.demands)):
            if len({thing.id for thing in things}) != len(things):
                raise ValueError(f"two {what} have one id")
        sites = {site.id for site in self.cloudlets}
        for site in self.cloudlets:
            _known(site.resident, self.blocks, f"site {site.id!r}: no block")
        for model in self.models:
            _known(model.blocks, self.blocks, f"model {model.id!r}: no block")
        for demand in self.demands:
            _known([demand.home], nodes, f"request {demand.id!r}: no node")
            _known(demand.sites or (), sites, f"request {demand.id!r}: no site")
        for number in self._numbers():
            if not 0 <= number < math.inf:
                raise ValueError(f"quantities are at least 0 and finite, got {number}")
        speeds = [place.flop_per_s for place in self.places]
        if min(*speeds, self.period_s) <= 0 or self.period_s == math.inf:
            raise ValueError("flop_per_s and period_s are above 0 and finite")

    def _numbers(self) -> Iterator[float]:
        yield from (self.seconds_per_joule, *self.blocks.values())
        for place in self.places:
            yield from (place.flop_per_s, place.compute_w, place.transfer_w)
            if place.queue is not None:
                yield from (place.queue.arrival_per_s, place.queue.service_per_s)
                yield place.queue.sigma_s
        for site in self.cloudlets:
            yield from (site.storage_bytes, site.capacity_flop_per_s)
        for model in self.models:
            yield model.flop_per_unit
            by_name = model.accuracy
            yield from by_name.values() if isinstance(by_name, Mapping) else (by_name,)
        for demand in self.demands:
            yield from (demand.units, demand.input_bytes, demand.output_bytes, demand.accuracy)
            yield demand.budget or 0.0

    @property
    def places(self) -> tuple[Place, ...]:
        """The data centre and the sites."""
        return (self.data_centre, *self.cloudlets)

    @cached_property
    def network(self) -> Network:
        """The nodes and links as a network."""
        nodes = (*self.places, *self.access_points)
        return Network(tuple(node.id for node in nodes), self.links)

    def candidates(self, demand: Demand) -> Iterator[tuple[CandidateModel, float]]:
        """The models that reach a request's accuracy, with theirs."""
        for model in self.models:
            accuracy = model.accuracy_for(demand)
            if accuracy is not None and accuracy >= demand.accuracy:
                yield model, accuracy


def _known(names: Iterable[str], known: Container[str], wrong: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{wrong} {name!r}")

"""Pulling scenarios as documents: `trunkline/pulling-scenario/1`."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from trunkline.documents import (
    MAX_NUMBER,
    Identifier,
    NonNegative,
    Positive,
    Raw,
    Strict,
    amounts,
    decode,
)
from trunkline.errors import DocumentError
from trunkline.pulling.compiling import ScenarioProblem, compile_scenario
from trunkline.pulling.network import NetworkLink
from trunkline.pulling.scenario import (
    AccessPoint,
    CandidateModel,
    Cloudlet,
    DataCentre,
    Demand,
    Scenario,
)

T = TypeVar("T")

SCENARIO_FORMAT: Final = "trunkline/pulling-scenario/1"

Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Coordinate = Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Position = tuple[Coordinate, Coordinate]


class _Part(Strict, omit_defaults=True):
    """A part of a document; what is at its default is not written."""


class _Queue(_Part):
    arrival_per_s: NonNegative
    service_per_s: Positive
    sigma_s: NonNegative = 0.0


class _DataCentre(_Part):
    id: Identifier
    flop_per_s: Positive
    queue: _Queue | None = None
    compute_w: NonNegative = 0.0
    transfer_w: NonNegative = 0.0
    position: Position | None = None


class _Site(_Part):
    id: Identifier
    storage_bytes: NonNegative
    flop_per_s: Positive
    capacity_flop_per_s: NonNegative
    queue: _Queue | None = None
    compute_w: NonNegative = 0.0
    transfer_w: NonNegative = 0.0
    resident: list[str] = msgspec.field(default_factory=list)
    position: Position | None = None


class _AccessPoint(_Part):
    id: Identifier
    position: Position | None = None


class _Link(_Part):
    ends: tuple[str, str]
    latency_s: NonNegative
    bytes_per_s: Positive


class _Model(_Part):
    id: Identifier
    blocks: list[str]
    flop_per_unit: NonNegative
    accuracy: Ratio | dict[str, Ratio]


class _Request(_Part):
    id: Identifier
    home: str
    units: NonNegative
    input_bytes: NonNegative = 0.0
    output_bytes: NonNegative = 0.0
    type: Identifier | None = None
    accuracy: Ratio = 0.0
    budget: NonNegative | None = None
    sites: list[str] | None = None


class _Scenario(_Part):
    format: Literal["trunkline/pulling-scenario/1"]
    data_centre: _DataCentre
    sites: list[_Site]
    links: list[_Link]
    blocks: dict[str, Any]
    models: list[_Model]
    requests: list[_Request]
    access_points: list[_AccessPoint] = msgspec.field(default_factory=list)
    accounting: Literal["once", "paper"] = "once"
    seconds_per_joule: NonNegative = 0.0
    period_s: Positive = 1.0


def scenario_from_document(raw: Raw) -> Scenario:
    """The scenario that a document states.

    Raises:
        DocumentError: it states none, or one in which a request cannot be served even at the data
            centre; the message names the place.
    """
    document = decode(raw, _Scenario)
    document.blocks = amounts(document.blocks, "$.blocks", raw, "a size in bytes")
    _check(document, raw)
    scenario = Scenario(
        data_centre=_as(document.data_centre, DataCentre),
        cloudlets=_as(document.sites, tuple[Cloudlet, ...]),
        links=_as(document.links, tuple[NetworkLink, ...]),
        blocks=document.blocks,
        models=_as(document.models, tuple[CandidateModel, ...]),
        demands=_as(document.requests, tuple[Demand, ...]),
        access_points=_as(document.access_points, tuple[AccessPoint, ...]),
        accounting=document.accounting,
        seconds_per_joule=document.seconds_per_joule,
        period_s=document.period_s,
    )
    _check_fallbacks(scenario, raw)
    return scenario


def problem_from_scenario(raw: Raw) -> ScenarioProblem:
    """The problem of the scenario that a document states (DocumentError where it states none)."""
    return compile_scenario(scenario_from_document(raw))


def scenario_to_document(scenario: Scenario) -> dict[str, Any]:
    """A scenario as a document; optional fields stand only where they differ from their default."""
    sites = _as(scenario.cloudlets, list[_Site])
    document = _Scenario(
        format=SCENARIO_FORMAT,
        data_centre=_as(scenario.data_centre, _DataCentre),
        sites=[msgspec.structs.replace(site, resident=sorted(site.resident)) for site in sites],
        links=_as(scenario.links, list[_Link]),
        blocks=dict(scenario.blocks),
        models=_as(scenario.models, list[_Model]),
        requests=_as(scenario.demands, list[_Request]),
        access_points=_as(scenario.access_points, list[_AccessPoint]),
        accounting=scenario.accounting,
        seconds_per_joule=scenario.seconds_per_joule,
        period_s=scenario.period_s,
    )
    found: dict[str, Any] = msgspec.to_builtins(document)
    return {"format": SCENARIO_FORMAT} | found


def _as(part: object, kind: type[T]) -> T:
    """A checked part in the other of its two forms, whose fields have the same names."""
    return msgspec.convert(part, kind, from_attributes=True)


def _check(document: _Scenario, raw: Raw) -> None:
    """Every id stands once and every name leads somewhere."""
    nodes = [("$.data_centre.id", document.data_centre.id)]
    nodes += [(f"$.sites[{n}].id", site.id) for n, site in enumerate(document.sites)]
    nodes += [(f"$.access_points[{n}].id", x.id) for n, x in enumerate(document.access_points)]
    _once(nodes, raw)
    _once([(f"$.models[{n}].id", m.id) for n, m in enumerate(document.models)], raw)
    _once([(f"$.requests[{n}].id", r.id) for n, r in enumerate(document.requests)], raw)
    sites, places = {site.id for site in document.sites}, {id for _, id in nodes}
    for n, link in enumerate(document.links):
        _lead(link.ends, places, f"$.links[{n}].ends", "node", raw)
    for n, site in enumerate(document.sites):
        _lead(site.resident, document.blocks, f"$.sites[{n}].resident", "block", raw)
    for n, model in enumerate(document.models):
        _lead(model.blocks, document.blocks, f"$.models[{n}].blocks", "block", raw)
        _once([(f"$.models[{n}].blocks[{k}]", b) for k, b in enumerate(model.blocks)], raw)
    for n, request in enumerate(document.requests):
        if request.home not in places:
            raise DocumentError(f"$.requests[{n}].home", f"no node {request.home!r}", raw.source)
        _lead(request.sites or (), sites, f"$.requests[{n}].sites", "site", raw)


def _once(ids: Iterable[tuple[str, str]], raw: Raw) -> None:
    first: dict[str, str] = {}
    for path, one in ids:
        if one in first:
            raise DocumentError(path, f"{one!r} is already at {first[one]}", raw.source)
        first[one] = path


def _lead(names: Iterable[str], known: Container[str], path: str, what: str, raw: Raw) -> None:
    for n, name in enumerate(names):
        if name not in known:
            raise DocumentError(f"{path}[{n}]", f"no {what} {name!r}", raw.source)


def _check_fallbacks(scenario: Scenario, raw: Raw) -> None:
    """The data centre serves every request."""
    queue = scenario.data_centre.queue
    if queue is not None and math.isinf(queue.wait_s):
        problem = (
            f"arrival_per_s {queue.arrival_per_s:g} is not below service_per_s "
            f"{queue.service_per_s:g}: the queue has no end, and every request must find room here"
        )
        raise DocumentError("$.data_centre.queue", problem, raw.source)
    reached = scenario.network.reach([scenario.data_centre.id], 0.0).seconds
    for n, demand in enumerate(scenario.demands):
        if demand.home not in reached:
            problem = f"no path from {demand.home!r} to the data centre"
            raise DocumentError(f"$.requests[{n}].home", problem, raw.source)
        if not any(True for _ in scenario.candidates(demand)):
            problem = f"no model serves this request with accuracy {demand.accuracy:g}"
            raise DocumentError(f"$.requests[{n}]", problem, raw.source)

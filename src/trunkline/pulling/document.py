"""Pulling problems and plans as documents: `trunkline/pulling-problem/1`, `.../pulling-plan/1`."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Annotated, Any, Literal

import msgspec

from trunkline.documents import Identifier, NonNegative, Raw, Strict, amounts, check_ids, decode
from trunkline.errors import DocumentError
from trunkline.pulling.plan import Choice, Pull, PullingPlan
from trunkline.pulling.problem import Option, PullingProblem, Request, Site

PROBLEM_FORMAT = "trunkline/pulling-problem/1"

Accuracy = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Site(Strict):
    id: Identifier
    storage_bytes: NonNegative
    compute: NonNegative
    resident: list[str] = msgspec.field(default_factory=list)
    pull_cost: dict[str, Any] = msgspec.field(default_factory=dict)


class _Option(Strict):
    site: str
    model: Identifier
    blocks: list[str]
    cost: NonNegative
    compute: NonNegative
    accuracy: Accuracy | None = None
    transmission_cost: NonNegative | None = None


class _Request(Strict):
    id: Identifier
    fallback_cost: NonNegative
    options: list[_Option]


class _Problem(Strict):
    format: Literal["trunkline/pulling-problem/1"]
    blocks: dict[str, Any]
    sites: list[_Site]
    requests: list[_Request]


class _Choice(Strict):
    request: str
    site: str | None
    model: str | None


class _Pull(Strict):
    site: str
    block: str


class _Plan(Strict):
    format: Literal["trunkline/pulling-plan/1"]
    method: str
    cost: NonNegative
    bound: NonNegative
    proven: bool
    solve_s: NonNegative
    choices: list[_Choice]
    pulls: list[_Pull]


def problem_from_document(raw: Raw) -> PullingProblem:
    """The problem that a document states (DocumentError, with the path, where it states none)."""
    document = decode(raw, _Problem)
    sizes = amounts(document.blocks, "$.blocks", raw, "a size in bytes")
    check_ids((site.id for site in document.sites), "$.sites", raw)
    check_ids((request.id for request in document.requests), "$.requests", raw)
    sites = tuple(_site(s, f"$.sites[{n}]", sizes, raw) for n, s in enumerate(document.sites))
    known = {site.id for site in sites}
    return PullingProblem(
        blocks=sizes,
        sites=sites,
        requests=tuple(
            _request(r, f"$.requests[{n}]", sizes, known, raw)
            for n, r in enumerate(document.requests)
        ),
    )


def _site(site: _Site, path: str, blocks: Container[str], raw: Raw) -> Site:
    costs = amounts(site.pull_cost, f"{path}.pull_cost", raw, "a cost")
    for block in costs:
        if block not in blocks:
            raise DocumentError(f"{path}.pull_cost", f"no block {block!r}", raw.source)
    _know(site.resident, f"{path}.resident", blocks, raw)
    return Site(site.id, site.storage_bytes, site.compute, frozenset(site.resident), costs)


def _request(
    request: _Request, path: str, blocks: Container[str], sites: Container[str], raw: Raw
) -> Request:
    first: dict[tuple[str, str], int] = {}
    for n, option in enumerate(request.options):
        here, pair = f"{path}.options[{n}]", (option.site, option.model)
        if option.site not in sites:
            raise DocumentError(f"{here}.site", f"no site {option.site!r}", raw.source)
        _know(option.blocks, f"{here}.blocks", blocks, raw)
        if pair in first:
            same = f"site {option.site!r} and model {option.model!r} are already those of"
            raise DocumentError(here, f"{same} {path}.options[{first[pair]}]", raw.source)
        first[pair] = n
    options = tuple(
        Option(
            site=o.site,
            model=o.model,
            blocks=tuple(o.blocks),
            cost=o.cost,
            compute=o.compute,
            accuracy=o.accuracy,
            transmission_cost=o.transmission_cost,
        )
        for o in request.options
    )
    return Request(request.id, request.fallback_cost, options)


def _know(blocks: Iterable[str], path: str, known: Container[str], raw: Raw) -> None:
    for n, block in enumerate(blocks):
        if block not in known:
            raise DocumentError(f"{path}[{n}]", f"no block {block!r}", raw.source)


def problem_to_document(problem: PullingProblem) -> dict[str, Any]:
    """A problem as a document; `accuracy` and `transmission_cost` only where they are known."""
    return {
        "format": PROBLEM_FORMAT,
        "blocks": dict(problem.blocks),
        "sites": [
            {
                "id": site.id,
                "storage_bytes": site.storage_bytes,
                "compute": site.compute,
                "resident": sorted(site.resident),
                "pull_cost": dict(site.pull_cost),
            }
            for site in problem.sites
        ],
        "requests": [
            {
                "id": request.id,
                "fallback_cost": request.fallback_cost,
                "options": [_option_to_document(option) for option in request.options],
            }
            for request in problem.requests
        ],
    }


def _option_to_document(option: Option) -> dict[str, Any]:
    document: dict[str, Any] = {
        "site": option.site,
        "model": option.model,
        "blocks": list(option.blocks),
        "cost": option.cost,
        "compute": option.compute,
    }
    if option.accuracy is not None:
        document["accuracy"] = option.accuracy
    if option.transmission_cost is not None:
        document["transmission_cost"] = option.transmission_cost
    return document


def plan_from_document(raw: Raw) -> PullingPlan:
    """The plan that a document states; whether it holds is for `check` to say."""
    document = decode(raw, _Plan)
    for n, choice in enumerate(document.choices):
        if (choice.site is None) != (choice.model is None):
            problem = "site and model are both null (the data centre) or neither is"
            raise DocumentError(f"$.choices[{n}]", problem, raw.source)
    return PullingPlan(
        method=document.method,
        cost=document.cost,
        bound=document.bound,
        proven=document.proven,
        solve_s=document.solve_s,
        choices=tuple(Choice(c.request, c.site, c.model) for c in document.choices),
        pulls=tuple(Pull(p.site, p.block) for p in document.pulls),
    )

"""`no-sharing`: the best plan of whoever takes each model for a whole file of its own."""

from __future__ import annotations

from dataclasses import replace

from trunkline.pulling.costs import plan_of
from trunkline.pulling.optimal import TIME_LIMIT_S, best_choices
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import Option, PullingProblem, Request, Site
from trunkline.timing import TimeLimit


def no_sharing(
    problem: PullingProblem, *, time_limit_s: float | None = TIME_LIMIT_S
) -> PullingPlan:
    """The plan of the choices that are best for `without_sharing(problem)`.

    Planned as if no two models had a block in common: requests for one model at one site share its
    pull, those for different models pay and store all that each lacks. What is reported of the
    choices is what they really cost and pull, each shared block once. So the difference to
    `optimal` is what it is worth to know of the sharing when planning; what it is worth to pull
    blocks once at all is seen by planning `without_sharing(problem)` and comparing the costs.

    Args:
        time_limit_s: after so many seconds the best choices so far are taken; None is no limit.
    """
    apart, _ = best_choices(without_sharing(problem), TimeLimit(time_limit_s))
    chosen = [
        None if option is None else _same(request, option)
        for request, option in zip(problem.requests, apart, strict=True)
    ]
    return plan_of(problem, "no-sharing", chosen)


def without_sharing(problem: PullingProblem) -> PullingProblem:
    """The same problem with blocks of its own for every model: block b of model m is named
    `repr((m, b))`, is as large and costs as much to pull, and is resident where b is."""
    models: dict[str, set[str]] = {}
    for request in problem.requests:
        for option in request.options:
            models.setdefault(option.model, set()).update(option.blocks)
    pairs = [(model, block) for model in sorted(models) for block in sorted(models[model])]

    def separate_site(site: Site) -> Site:
        costs = site.pull_cost
        return replace(
            site,
            resident=frozenset(_own(m, b) for m, b in pairs if b in site.resident),
            pull_cost={_own(m, b): costs[b] for m, b in pairs if b in costs},
        )

    def separate_request(request: Request) -> Request:
        options = (
            replace(o, blocks=tuple(_own(o.model, block) for block in o.blocks))
            for o in request.options
        )
        return replace(request, options=tuple(options))

    return PullingProblem(
        blocks={_own(m, b): problem.blocks[b] for m, b in pairs},
        sites=tuple(map(separate_site, problem.sites)),
        requests=tuple(map(separate_request, problem.requests)),
    )


def _own(model: str, block: str) -> str:
    """The name of a model's own copy of a block."""
    return repr((model, block))


def _same(request: Request, option: Option) -> Option:
    """The option of a request that has the same site and model."""
    return next(o for o in request.options if (o.site, o.model) == (option.site, option.model))

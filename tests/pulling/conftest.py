"""Small random pulling problems, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from trunkline.pulling import Option, PullingProblem, Request, Site


def random_problem(
    rng: random.Random,
    *,
    accounting: str = "once",
    sites: int = 3,
    requests: int = 5,
    models: int = 4,
    blocks: int = 5,
    tight: bool = True,
) -> PullingProblem:
    """A tiny problem with sharing, residents, and storage and compute that bind.

    Args:
        accounting: "once" gives the pulls costs of their own; "paper" adds to each option the
            longest of its missing blocks' pulls, and all pull costs are 0.
        sites, requests, models, blocks: at most so many.
        tight: whether storage and compute may bind; if not there is room for everything.
    """
    sizes = {f"b{b}": rng.choice([0.0, 1.0, 2.0, 3.0, 5.0]) for b in range(rng.randint(1, blocks))}
    holds = {
        f"m{m}": tuple(b for b in sizes if rng.random() < 0.6)
        for m in range(rng.randint(1, models))
    }
    pull = {
        f"c{c}": {b: rng.choice([0.0, 0.5, 1.0, 2.0, 4.0]) for b in sizes if rng.random() < 0.9}
        for c in range(rng.randint(1, sites))
    }
    once = accounting == "once"
    places = tuple(
        Site(
            id=c,
            storage_bytes=rng.choice([0.0, 2.0, 4.0, 6.0, 10.0]) if tight else 100.0,
            compute=rng.choice([0.0, 1.0, 2.0, 3.0]) if tight else 100.0,
            resident=frozenset(b for b in sizes if rng.random() < 0.2),
            pull_cost=costs if once else {},
        )
        for c, costs in pull.items()
    )

    def option(site: Site, model: str) -> Option:
        lacks = set(holds[model]) - site.resident
        wait = 0.0 if once else max((pull[site.id].get(b, 0.0) for b in lacks), default=0.0)
        transmission = rng.choice([0.0, 0.25, 1.0])
        return Option(
            site=site.id,
            model=model,
            blocks=holds[model],
            cost=transmission + rng.choice([0.0, 0.5, 1.0, 3.0]) + wait,
            compute=rng.choice([0.0, 0.5, 1.0, 1.5]),
            accuracy=rng.choice([0.5, 0.7, 0.9]),
            transmission_cost=transmission,
        )

    asked = tuple(
        Request(
            id=f"r{r}",
            fallback_cost=rng.choice([2.0, 4.0, 8.0, 12.0]),
            options=tuple(option(s, m) for s in places for m in holds if rng.random() < 0.5)[:5],
        )
        for r in range(rng.randint(0, requests))
    )
    return PullingProblem(sizes, places, asked)


@pytest.fixture
def make_problem() -> Callable[..., PullingProblem]:
    """Make `random_problem` from a seed."""

    def make(seed: int, **how: object) -> PullingProblem:
        return random_problem(random.Random(seed), **how)

    return make

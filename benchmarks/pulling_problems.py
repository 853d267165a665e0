"""Pulling problems for the benchmarks: sites on a plane, models on shared backbones."""

from __future__ import annotations

import numpy as np

from trunkline.pulling.problem import Option, PullingProblem, Request, Site

BACKBONES = 4
"""Every backbone has models of its own."""

LAYERS = 6
"""Blocks of a backbone; a model shares the lowest 2 to 5 of them and has the others as its own."""


def placed_problem(
    requests: int,
    sites: int,
    models: int,
    seed: int,
    *,
    storage: float = 2.0,
    spare_compute: float = 1.3,
    suitable: int = 5,
    reach: int | None = None,
) -> PullingProblem:
    """Sites and requests at random places, models that share the lowest layers of four backbones.

    Args:
        storage: of a site, in models of the mean size: 2 is tight.
        spare_compute: the compute of all sites over what all requests take.
        suitable: how many models can serve a request.
        reach: only so many nearest sites may serve a request; None for all.
    """
    rng = np.random.default_rng(seed)
    blocks, held = _models(models, rng)
    sizes = np.array([sum(blocks[b] for b in one) for one in held])
    places, homes = rng.random((sites, 2)), rng.random((requests, 2))
    demand = rng.uniform(0.5, 2.0, requests)
    work = rng.uniform(0.5, 1.5, models)
    speed = rng.uniform(0.5, 2.0, sites)
    compute = rng.uniform(0.5, 1.5, sites)
    compute *= spare_compute * float(demand.sum()) / float(compute.sum())
    distance = np.linalg.norm(homes[:, None] - places[None], axis=2)
    asked = []
    for r in range(requests):
        near = np.argsort(distance[r])[:reach]
        fits = rng.choice(models, size=min(suitable, models), replace=False)
        options = tuple(
            Option(
                f"c{c}",
                f"m{m}",
                held[m],
                cost=float(4.0 * distance[r, c] * demand[r] + work[m] * demand[r] / speed[c]),
                compute=float(work[m] * demand[r]),
                transmission_cost=float(4.0 * distance[r, c] * demand[r]),
            )
            for c in near.tolist()
            for m in fits.tolist()
        )
        asked.append(Request(f"r{r}", float(12.0 * demand[r]), options))
    stored = rng.uniform(0.5, 1.5, sites) * storage * float(sizes.mean())
    farness = rng.uniform(0.5, 1.5, sites)
    return PullingProblem(
        blocks,
        tuple(
            Site(
                f"c{c}",
                float(stored[c]),
                float(compute[c]),
                pull_cost={b: 6.0 * size * float(farness[c]) for b, size in blocks.items()},
            )
            for c in range(sites)
        ),
        tuple(asked),
    )


def _models(count: int, rng: np.random.Generator) -> tuple[dict[str, float], list[tuple[str, ...]]]:
    """Sizes of all blocks, and the blocks of each model; a whole model is about 1."""
    blocks = {
        f"b{k}.{layer}": float(rng.uniform(0.5, 1.5) / LAYERS)
        for k in range(BACKBONES)
        for layer in range(LAYERS)
    }
    held = []
    for m in range(count):
        shared = int(rng.integers(2, LAYERS))
        own = f"m{m}"
        blocks[own] = float((LAYERS - shared) / LAYERS * rng.uniform(0.5, 1.5))
        held.append((*(f"b{m % BACKBONES}.{layer}" for layer in range(shared)), own))
    return blocks, held

"""Scattered loading problems for the benchmarks: how sharing comes about, how large, how tight.

Three ways in which models come to share blocks at arbitrary positions:

    backbone    each model keeps a random 70 to 99 % of the layers of one ResNet-50, as in the
                paper's general case (Section VII), with real layer sizes
    lineage     each model is fine-tuned from an earlier one and replaces 2 to 16 of its 40 blocks,
                so sharing follows a family tree without being a trie
    pool        each model is put together from 18 to 30 of a pool of 60 blocks and one of its own

Radio and costs are those of the calibrated setting ("set A"). The deadline is a share, the
tightness, of the time that serving every task takes in the order that always goes on with the model
that loads quickest. Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from trunkline.experiments.burst import draw_burst
from trunkline.experiments.layers import layer_bytes
from trunkline.experiments.preset import load_preset
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem
from trunkline.loading.schedule import batches_of
from trunkline.loading.service import Reading, service_of

SIZES = ((10, 80), (20, 160), (30, 240), (40, 320), (50, 400))
"""Models and tasks."""
TIGHTNESS = (0.1, 0.25, 0.4, 0.55, 0.7)

SET_A = load_preset()
NETWORKS = {one.network: (one.seconds_per_batch, one.seconds_per_task) for one in SET_A.networks}
"""Seconds of each batch, and of each task in it, by network."""

Library = tuple[str, list[list[str]], dict[str, float]]
"""Whose compute costs the models have, the blocks of each, and the sizes of all blocks."""


def scattered_problem(
    models: int, tasks: int, tightness: float, *, family: str, seed: int
) -> LoadingProblem:
    """One draw.

    Args:
        tightness: the deadline as a share of all work.
        family: of `FAMILIES`.
    """
    rng = random.Random(f"{family}/{models}/{tasks}/{seed}")
    network, held, sizes = FAMILIES[family](models, rng)
    names = [f"m{i}" for i in range(models)]
    problem = LoadingProblem(
        deadline_s=1e6,
        bandwidth_hz=SET_A.point.bandwidth_hz,
        loading=Link(tuple(Stage(one.bytes_per_s, one.overhead_s) for one in SET_A.loading)),
        library=ModelLibrary(
            sizes, [Model(name, tuple(own)) for name, own in zip(names, held, strict=True)]
        ),
        models=tuple(LoadingModel(name, *NETWORKS[network], SET_A.max_batch) for name in names),
        tasks=draw_burst(dict.fromkeys(names, 8.0 * SET_A.upload_bytes), tasks, seed=seed),
    )
    return replace(problem, deadline_s=tightness * all_work_s(problem))


def _backbone(models: int, rng: random.Random) -> Library:
    layers = layer_bytes("resnet50")
    sizes: dict[str, float] = {}
    held = []
    for i in range(models):
        kept = set(rng.sample(range(len(layers)), round(len(layers) * rng.uniform(0.7, 0.995))))
        own = [f"{'trunk' if layer in kept else f'm{i}'}/{layer}" for layer in range(len(layers))]
        sizes |= {name: float(size) for name, size in zip(own, layers, strict=True)}
        held.append(own)
    return "resnet50", held, sizes


def _lineage(models: int, rng: random.Random) -> Library:
    shape = [rng.uniform(0.2e6, 4e6) for _ in range(40)]
    sizes = {f"root/{position}": size for position, size in enumerate(shape)}
    held = [list(sizes)]
    for i in range(1, models):
        own = list(rng.choice(held))
        for position in rng.sample(range(40), rng.randint(2, 16)):
            own[position] = f"m{i}/{position}"
            sizes[own[position]] = shape[position]
        held.append(own)
    return "resnet34", held, sizes


def _pool(models: int, rng: random.Random) -> Library:
    pool = {f"b{b}": rng.uniform(0.2e6, 6e6) for b in range(60)}
    held = [rng.sample(sorted(pool), rng.randint(18, 30)) for _ in range(models)]
    sizes = pool | {f"m{i}/own": rng.uniform(0.1e6, 2e6) for i in range(models)}
    return "resnet34", [[*own, f"m{i}/own"] for i, own in enumerate(held)], sizes


FAMILIES = {"backbone": _backbone, "lineage": _lineage, "pool": _pool}


def all_work_s(problem: LoadingProblem) -> float:
    """Seconds to serve every task that can upload, along a nearest-neighbour order."""
    service = service_of(problem, Reading())
    left = [i for i, table in enumerate(service.tables) if table.size > 1]
    order = [left.pop(0)]
    while left:
        missing = [problem.library.missing_bytes(i, order[-1]) for i in left]
        order.append(left.pop(missing.index(min(missing))))
    visits = [(i, service.tables[i].size - 1) for i in order]
    return batches_of(problem, service, visits)[-1].finish_s


def scattered_problems(
    seeds: int = 1, sizes: tuple[tuple[int, int], ...] = SIZES
) -> Iterator[tuple[str, LoadingProblem]]:
    """Every family, size and tightness, `seeds` draws of each, with a name."""
    for seed, (models, tasks), tightness, family in product(
        range(seeds), sizes, TIGHTNESS, FAMILIES
    ):
        problem = scattered_problem(models, tasks, tightness, family=family, seed=seed)
        yield f"{family} {models}/{tasks} {tightness:.0%} #{seed}", problem

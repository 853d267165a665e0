"""Scattered loading problems for the benchmarks: how sharing comes about, how large, how tight.

Three ways in which models come to share blocks at arbitrary positions:

    backbones   each model keeps a random 85 % (+- 15) of the layers of one of some ResNets, the
                paper's general case (Section VII) with real layer sizes
    lineage     each model is fine-tuned from an earlier one and replaces a random 5-40 % of its
                blocks, so sharing follows a family tree without being a trie
    pool        each model is put together from a pool of blocks, a random 30-50 % of them

Radio, compute and loading are those of the calibrated setting ("set A", `experiments.scenario`).
The deadline is a share, the tightness, of the time that serving every task takes in one order that
always goes on with the model that loads quickest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from trunkline.experiments.burst import SECTION_VII, draw_burst
from trunkline.experiments.scenario import (
    LOADING_BYTES_PER_S,
    MAX_BATCH,
    SECONDS_PER_BATCH,
    SECONDS_PER_TASK,
    UPLOAD_BITS,
)
from trunkline.experiments.variants import NETWORKS, layer_bytes
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem
from trunkline.loading.schedule import batches_of
from trunkline.loading.service import Reading, service_of

FAMILIES = ("backbones", "lineage", "pool")
SIZES = ((10, 80), (20, 160), (30, 240), (40, 320), (50, 400))
"""Models and tasks."""
TIGHTNESS = (0.1, 0.25, 0.4, 0.55, 0.7)


def scattered_problem(
    models: int, tasks: int, tightness: float, *, family: str, seed: int, networks: int = 1
) -> LoadingProblem:
    """One draw.

    Args:
        tightness: the deadline as a share of all work.
        family: of `FAMILIES`.
        networks: for "backbones", how many there are (1 is ResNet-50 alone, one component).
    """
    rng = random.Random(f"{family}/{models}/{tasks}/{seed}")
    if family == "backbones":
        held, sizes = _backbones(models, networks, rng)
    elif family == "lineage":
        held, sizes = _lineage(models, rng)
    else:
        held, sizes = _pool(models, rng)
    names = [f"m{i}" for i in range(models)]
    network = [NETWORKS[-networks:][i % networks] for i in range(models)]
    if family != "backbones":
        network = ["resnet34"] * models
    library = ModelLibrary(
        sizes, [Model(name, tuple(own)) for name, own in zip(names, held, strict=True)]
    )
    computing = tuple(
        LoadingModel(name, SECONDS_PER_BATCH[net], SECONDS_PER_TASK[net], MAX_BATCH)
        for name, net in zip(names, network, strict=True)
    )
    burst = draw_burst(dict.fromkeys(names, UPLOAD_BITS), tasks, seed=seed)
    link = Link((Stage(LOADING_BYTES_PER_S),))
    problem = LoadingProblem(1e6, SECTION_VII.bandwidth_hz, link, library, computing, burst)
    return replace(problem, deadline_s=tightness * _all_work_s(problem))


def _backbones(
    models: int, networks: int, rng: random.Random
) -> tuple[list[list[str]], dict[str, float]]:
    sizes: dict[str, float] = {}
    held = []
    for i in range(models):
        network = NETWORKS[-networks:][i % networks]
        layers = layer_bytes(network)
        kept = set(rng.sample(range(len(layers)), round(len(layers) * rng.uniform(0.7, 0.995))))
        own = []
        for layer, size in enumerate(layers):
            name = f"{network}/{layer}" if layer in kept else f"m{i}/{layer}"
            sizes[name] = float(size)
            own.append(name)
        held.append(own)
    return held, sizes


def _lineage(models: int, rng: random.Random) -> tuple[list[list[str]], dict[str, float]]:
    shape = [rng.uniform(0.2e6, 4e6) for _ in range(40)]
    sizes = {f"root/{position}": size for position, size in enumerate(shape)}
    held = [[f"root/{position}" for position in range(40)]]
    for i in range(1, models):
        own = list(rng.choice(held))
        for position in rng.sample(range(40), rng.randint(2, 16)):
            own[position] = f"m{i}/{position}"
            sizes[own[position]] = shape[position]
        held.append(own)
    return held, sizes


def _pool(models: int, rng: random.Random) -> tuple[list[list[str]], dict[str, float]]:
    pool = {f"b{b}": rng.uniform(0.2e6, 6e6) for b in range(60)}
    held = [rng.sample(sorted(pool), rng.randint(18, 30)) for _ in range(models)]
    sizes = pool | {f"m{i}/own": rng.uniform(0.1e6, 2e6) for i in range(models)}
    return [[*own, f"m{i}/own"] for i, own in enumerate(held)], sizes


def _all_work_s(problem: LoadingProblem) -> float:
    """Seconds to serve every task that can be served, along a nearest-neighbour order."""
    service = service_of(problem, Reading())
    asked = [i for i, table in enumerate(service.tables) if table.size > 1]
    order = [asked.pop(0)]
    while asked:
        missing = [problem.library.missing_bytes(i, order[-1]) for i in asked]
        order.append(asked.pop(missing.index(min(missing))))
    visits = [(i, service.tables[i].size - 1) for i in order]
    return batches_of(problem, service, visits)[-1].finish_s


def scattered_problems(seeds: int = 1) -> Iterator[tuple[str, LoadingProblem]]:
    """Every family, size and tightness, `seeds` draws of each, with a name for the tables."""
    for seed, (models, tasks), tightness, family in product(
        range(seeds), SIZES, TIGHTNESS, FAMILIES
    ):
        name = f"{family} {models}/{tasks} {tightness:.0%} #{seed}"
        yield (
            name,
            scattered_problem(models, tasks, tightness, family=family, seed=seed),
        )


def paper_scattered(seed: int, *, tasks: int = 80, deadline_s: float = 0.7) -> LoadingProblem:
    """The paper's general case: 25 models on three backbones, 80 tasks, 700 ms."""
    problem = scattered_problem(25, tasks, 1.0, family="backbones", seed=seed, networks=3)
    return replace(problem, deadline_s=deadline_s)

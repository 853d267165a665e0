"""Small random loading problems, made from a seed or by hypothesis."""

from __future__ import annotations

import random

import numpy as np
import pytest

import trunkline
from trunkline.loading import LoadingProblem
from trunkline.loading.document import problem_to_document
from trunkline.loading.scattered import Scattered
from trunkline.loading.service import cut
from trunkline.loading.tables import NOTHING


def random_document(rng: random.Random, *, sharing: str, overhead: bool, tasks: int = 6) -> dict:
    """A tiny problem document: 2-4 models, up to `tasks` tasks, times of a few units."""
    count = rng.randint(2, 4)
    blocks: dict[str, float] = {}
    holds: list[list[str]] = [[] for _ in range(count)]
    if sharing == "prefix":
        _grow(rng, list(range(count)), blocks, holds)
    else:
        for b in range(rng.randint(2, 6)):
            blocks[f"b{b}"] = rng.choice([0, 1, 2, 3, 5, 8])
            for model in range(count):
                if rng.random() < 0.5:
                    holds[model].append(f"b{b}")
    stages = [{"overhead_s": rng.choice([0.5, 1.0, 3.0]) if overhead else 0.0, "bytes_per_s": 1.0}]
    if rng.random() < 0.3:
        stages.append({"overhead_s": 0.25 if overhead else 0.0, "bytes_per_s": 2.0})
    return {
        "format": "trunkline/loading-problem/1",
        "deadline_s": rng.choice([4.0, 8.0, 12.0, 20.0, 40.0]),
        "bandwidth_hz": 2.0,
        "loading": stages,
        "blocks": blocks,
        "models": [
            {
                "id": f"m{i}",
                "blocks": holds[i],
                "seconds_per_batch": rng.choice([0.0, 0.5, 2.0]),
                "seconds_per_task": rng.choice([0.0, 0.25, 1.0]),
                "max_batch": rng.randint(1, 3),
            }
            for i in range(count)
        ],
        "tasks": [
            {
                "id": f"u{k}",
                "model": f"m{rng.randrange(count)}",
                "upload_bits": rng.choice([0, 1, 2, 6]),
                "bits_per_s_per_hz": rng.choice([0.0, 0.5, 1.0, 1.0, 2.0]),
            }
            for k in range(rng.randint(0, tasks))
        ],
    }


def _grow(
    rng: random.Random, below: list[int], blocks: dict[str, float], holds: list[list[str]]
) -> None:
    """Share a block among `below`, then split it and go on: a trie of several levels."""
    if rng.random() < 0.8:
        name = f"b{len(blocks)}"
        blocks[name] = rng.choice([1, 2, 4, 7])
        for model in below:
            holds[model].append(name)
    if len(below) == 1:
        return
    rest = [model for model in below if rng.random() < 0.8]  # the others end here
    rng.shuffle(rest)
    while rest:
        size = rng.randint(1, len(rest))
        part, rest = rest[:size], rest[size:]
        if len(part) < len(below):
            _grow(rng, part, blocks, holds)


@pytest.fixture
def make_problem():
    """A function: seed, sharing ("prefix" or "scattered"), overhead -> a problem."""

    def make(
        seed: int, sharing: str = "prefix", overhead: bool = False, **changes: object
    ) -> LoadingProblem:
        rng = random.Random(seed)
        document = random_document(rng, sharing=sharing, overhead=overhead)
        return trunkline.load({**document, **changes})

    return make


@pytest.fixture
def make_scattered():
    """A function: seed, models, ... -> random models to visit along a path."""
    return random_scattered


def random_scattered(
    seed: int, models: int = 6, *, directed: bool = False, steps: str = "ascending"
) -> Scattered:
    """A random set of models to visit: savings of overlapping blocks, tables of a few tasks.

    With `directed`, some pairs save more one way round. Steps are "ascending" or "any".
    """
    rng = np.random.default_rng(seed)
    held = rng.random((models, 10)) < 0.5
    sizes = rng.uniform(0.5, 3.0, 10)
    whole_s = (held * sizes).sum(axis=1) + 0.1
    saved_s = (held * sizes) @ held.T.astype(float)
    np.fill_diagonal(saved_s, 0.0)
    if directed:
        saved_s = np.minimum(saved_s + rng.choice([0.0, 0.1], saved_s.shape), whole_s)
        np.fill_diagonal(saved_s, 0.0)
    tables = []
    for _ in range(models + 1):
        further = rng.uniform(0.1, 2.0, rng.integers(0, 5))
        if steps == "ascending":
            further.sort()
        tables.append(np.concatenate(([0.0, rng.uniform(0.1, 2.0)], further)))
        tables[-1][1:] = tables[-1][1:].cumsum()
    limit_s = float(rng.uniform(0.2, 0.8) * (whole_s.sum() + sum(t[-1] for t in tables)))
    rest = tables.pop()
    if seed % 2:
        rest = NOTHING
    return Scattered(
        tuple(range(models)),
        tuple(cut(table, limit_s) for table in tables),
        whole_s,
        saved_s,
        cut(rest, limit_s),
        limit_s,
    )


@pytest.fixture
def make_extended(make_problem):
    """A function: seed, tasks -> a small problem with every optional field that the seed gives."""

    def make(seed: int, tasks: int = 8) -> LoadingProblem:
        rng = random.Random(seed)
        sharing = rng.choice(["prefix", "scattered"])
        document = problem_to_document(make_problem(seed, sharing, seed % 3 == 0))
        names = [model["id"] for model in document["models"]]
        if rng.random() < 0.5:
            document["models"] = [{**model, "max_batch": 9} for model in document["models"]]
        arrives, differs = rng.random() < 0.7, rng.random() < 0.7
        document["tasks"] = [
            {
                "id": f"u{k}",
                "model": rng.choice(names),
                "upload_bits": rng.choice([0, 1, 2, 3, 6]),
                "bits_per_s_per_hz": rng.choice([0.5, 1.0, 2.0]),
                "arrival_s": rng.choice([0, 0, 1, 3, 6]) if arrives else 0,
                "deadline_s": rng.choice([2, 5, 9, 15, 30]) if differs else 15,
            }
            for k in range(tasks)
        ]
        if rng.random() < 0.6:
            document["memory_bytes"] = rng.choice([3, 5, 8, 10, 15, 30])
        if rng.random() < 0.5:
            document["resident"] = [b for b in document["blocks"] if rng.random() < 0.4]
        if rng.random() < 0.4:
            document["overlap"] = True
        return trunkline.load(document)

    return make

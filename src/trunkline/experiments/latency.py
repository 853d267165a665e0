"""How much of a batch's time loading takes on this machine: the counterpart of Fig. 1.

For each network one model with random weights is put into a store and served by the runtime, whole
(as the paper measures it): its file's bytes come from the disk or from the page cache, then a batch
is computed. Loads and forwards are real and timed by `runtime.execute`; nothing is uploaded.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from trunkline.errors import InputError
from trunkline.experiments.comparison import compute_threads
from trunkline.experiments.layers import NETWORKS
from trunkline.experiments.stocking import stock_random
from trunkline.experiments.variants import RandomVariant
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link
from trunkline.loading import LoadingModel, LoadingProblem, Task, solve
from trunkline.runtime.execute import execute
from trunkline.runtime.profile import Cache
from trunkline.store import Store

BATCHES = (1, 32)
"""Sizes of the batches; the paper's is 32."""

DEADLINE_S = 1e6
"""Everything is in time."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The time of a batch, median over repeats, and what it is made of.

    Attributes:
        network: which network.
        batch: images in the batch, 32 x 32 x 3.
        cache: "warm" where the files are in the page cache, "cold" where they come from the disk.
        load_s: seconds of loading the whole model.
        compute_s: seconds of the forward pass.
    """

    network: str
    batch: int
    cache: Cache
    load_s: float
    compute_s: float

    @property
    def loading_share(self) -> float:
        """Loading's share of the time (0..1)."""
        return self.load_s / (self.load_s + self.compute_s)


def measure_latencies(
    folder: Path, repeats: int, batches: tuple[int, ...] = BATCHES
) -> Iterator[Latency]:
    """Measure every network; `folder` must be empty and takes about 0.25 GB of weights.

    Yields what was measured, batch by batch; "cold" is left out where the system keeps files
    cached. From here on PyTorch computes on `compute_threads()` threads.

    Raises:
        StoreError: the weights cannot be written.
    """
    torch.set_num_threads(compute_threads())
    store = Store.open(folder, create=True)
    variants = [RandomVariant(network, 0, 0, 0) for network in NETWORKS]
    stock_random(store, variants)
    caches: tuple[Cache, ...] = ("warm", "cold")
    for batch in batches:
        problem = _problem(store, variants, batch)
        for cache in caches:
            try:
                yield from _measured(problem, store, batch, cache, repeats)
            except InputError:  # the system keeps files cached
                if cache == "warm":
                    raise


def _problem(store: Store, variants: list[RandomVariant], batch: int) -> LoadingProblem:
    """A batch for each model; what loading and computing take is what is to be found out."""
    stored = [store.model(variant.name) for variant in variants]
    sizes = {block.digest: float(block.bytes) for model in stored for block in model.blocks}
    models = [Model(m.name, tuple(block.digest for block in m.blocks)) for m in stored]
    return LoadingProblem(
        DEADLINE_S,
        0.0,
        Link(),
        ModelLibrary(sizes, models),
        tuple(LoadingModel(model.id, 0.0, 0.0, batch) for model in models),
        tuple(Task(f"{model.id}/{k}", model.id) for model in models for k in range(batch)),
    )


def _measured(
    problem: LoadingProblem, store: Store, batch: int, cache: Cache, repeats: int
) -> list[Latency]:
    plan = solve(problem, "independent")
    runs = [
        execute(problem, plan, store, uploads=False, cold=cache == "cold") for _ in range(repeats)
    ]
    found = []
    for place, planned in enumerate(plan.batches):
        same = [run.batches[place] for run in runs]
        found.append(
            Latency(
                planned.model.partition("-")[0],
                batch,
                cache,
                statistics.median(one.load_s for one in same),
                statistics.median(one.compute_s for one in same),
            )
        )
    return found

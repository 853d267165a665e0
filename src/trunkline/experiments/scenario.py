"""PartialLoading's simulation setting (Section VII) as a loading problem, calibrated "set A".

The paper gives the radio setting, the networks, the share of layers and the deadline, but neither
the loading rate nor the compute times nor the size of an upload. Those here are calibrated (chosen
so that the served ratios resemble the paper's), not measured: 2.15 GB/s, 1.35/2.0/2.7 ms a batch
and 0.05/0.075/0.10 ms a task for ResNet-18/34/50, 98,304 bytes an upload, batches of up to 32.
"""

from __future__ import annotations

from itertools import pairwise

from trunkline.experiments.burst import SECTION_VII, Cell, draw_burst
from trunkline.experiments.variants import RandomVariant, draw_variants, layer_bytes
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem

LOADING_BYTES_PER_S = 2.15e9
UPLOAD_BITS = 8.0 * 98_304
MAX_BATCH = 32
SECONDS_PER_BATCH = {"resnet18": 1.35e-3, "resnet34": 2.0e-3, "resnet50": 2.7e-3}
SECONDS_PER_TASK = {"resnet18": 0.05e-3, "resnet34": 0.075e-3, "resnet50": 0.10e-3}


def paper_problem(
    models: int = 50,
    tasks: int = 80,
    *,
    share: float = 0.85,
    deadline_s: float = 0.7,
    cell: Cell = SECTION_VII,
    seed: int = 0,
) -> LoadingProblem:
    """One draw of the bottom-layer-sharing case with the paper's defaults.

    Args:
        models: I, a third of them of each network.
        tasks: K, one a user.
        share: theta, the share of layers that a model keeps of its backbone, on average.
        deadline_s: one for all tasks.
        cell: the radio setting.
        seed: fixes the library and the burst.
    """
    spread = min(0.15, 1.0 - share)
    variants = draw_variants(-(-models // 3), seed=seed, share=share, spread=spread)[:models]
    library = sharing_library(variants)
    computing = tuple(
        LoadingModel(v.name, SECONDS_PER_BATCH[v.network], SECONDS_PER_TASK[v.network], MAX_BATCH)
        for v in variants
    )
    burst = draw_burst({v.name: UPLOAD_BITS for v in variants}, tasks, cell=cell, seed=seed)
    link = Link((Stage(LOADING_BYTES_PER_S),))
    return LoadingProblem(deadline_s, cell.bandwidth_hz, link, library, computing, burst)


def sharing_library(variants: tuple[RandomVariant, ...]) -> ModelLibrary:
    """The library of some variants, neighbouring layers with equal model sets merged into one
    block (`resnet50/0-75` holds the backbone's layers 0 to 75)."""
    sizes: dict[str, float] = {}
    models = []
    for variant in variants:
        cuts = sorted({v.shared for v in variants if v.network == variant.network} - {0})
        edges = [0, *(cut for cut in cuts if cut <= variant.shared)]
        pieces = list(pairwise(edges))
        layers = layer_bytes(variant.network)
        blocks = {
            f"{variant.network}/{start}-{stop - 1}": float(sum(layers[start:stop]))
            for start, stop in pieces
        }
        blocks[f"{variant.name}/own"] = float(sum(layers[variant.shared :]))
        sizes.update(blocks)
        models.append(Model(variant.name, tuple(blocks)))
    return ModelLibrary(sizes, models)

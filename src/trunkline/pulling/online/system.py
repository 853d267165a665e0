"""A small network of sites for the online problem, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trunkline.pulling.online.context import Floats
from trunkline.pulling.online.residency import Masks


@dataclass(frozen=True)
class EdgeSystem:
    """Sites, blocks and models; S sites, the data centre has index S; B blocks, M models.

    Attributes:
        block_bytes: s_b, shape (B,).
        model_blocks: which blocks a model has, shape (M, B).
        flop_per_unit: kappa_m, shape (M,).
        accuracy: of each model by level of the request's domain, shape (M, V).
        central: the model that the data centre serves; sites do not.
        storage_bytes: S_c, shape (S,).
        flop_per_s: F_c, shape (S + 1,).
        pull_s: T(l, c, s_b), seconds to move block b from l to site c, shape (S, S + 1, B) by
            (c, l, b).
        exchange_s: seconds to move a request's input and output between its home and where it is
            served, shape (S, S + 1).
    """

    block_bytes: Floats
    model_blocks: Masks
    flop_per_unit: Floats
    accuracy: Floats
    central: int
    storage_bytes: Floats
    flop_per_s: Floats
    pull_s: Floats
    exchange_s: Floats

    @property
    def local_models(self) -> list[int]:
        """The models that sites may serve."""
        return [model for model in range(len(self.flop_per_unit)) if model != self.central]


def without_sharing(system: EdgeSystem) -> EdgeSystem:
    """The same system where every model has blocks of its own, whatever they hold."""
    models, blocks = np.nonzero(system.model_blocks)
    own = models[None, :] == np.arange(len(system.flop_per_unit))[:, None]
    return replace(
        system,
        block_bytes=system.block_bytes[blocks],
        model_blocks=own,
        pull_s=system.pull_s[:, :, blocks],
    )


LARGE_BLOCKS, SMALL_BLOCKS = 20, 10
LARGE_BLOCK_BYTES, SMALL_BLOCK_BYTES = 20e6, 10e6
INPUT_BYTES = 2e6


def draw_system(
    generator: np.random.Generator,
    *,
    sites: int = 4,
    storage_bytes: float = 500e6,
    shared: float = 0.85,
    domains: int = 2,
) -> EdgeSystem:
    """A system of made-up but usual magnitudes; nothing in it is measured.

    For each domain a large and a small model, fine-tuned from two backbones of 400 and 100 MB, of
    which the first blocks are shared; the data centre serves a general model. Sites are joined at
    0.5 to 1.5 Gbit/s; the data centre is reached at 0.2 to 0.3 Gbit/s and 30 ms.

    Args:
        generator: of latencies, rates and speeds.
        sites: S, at least 1.
        storage_bytes: S_c of every site.
        shared: the share of a backbone's blocks that its models have in common.
        domains: V, the levels of the domain feature.
    """
    model_blocks, block_bytes = _models(shared, domains)
    latency_s = generator.uniform(0.002, 0.01, (sites, sites))
    rate = generator.uniform(0.5e9, 1.5e9, (sites, sites)) / 8
    to_centre = generator.uniform(0.2e9, 0.3e9, sites) / 8
    latency_s = np.column_stack([(latency_s + latency_s.T) / 2, np.full(sites, 0.03)])
    rate = np.column_stack([(rate + rate.T) / 2, to_centre])
    at_home = np.eye(sites, sites + 1, dtype=np.bool_)
    pull_s = latency_s[:, :, None] + block_bytes / rate[:, :, None]
    exchange_s = np.where(at_home, 0.02, 0.02 + 2 * latency_s + INPUT_BYTES / rate)
    exchange_s[:, sites] += 0.25  # the wide-area way of an answer, beside the link to the site
    own = np.arange(2 * domains)[:, None] % domains == np.arange(domains)
    large = np.arange(2 * domains)[:, None] < domains
    accuracy = np.where(own, np.where(large, 0.94, 0.86), np.where(large, 0.70, 0.66))
    flop_per_unit = np.where(large[:, 0], 0.3e12, 0.06e12)
    return EdgeSystem(
        block_bytes=block_bytes,
        model_blocks=np.vstack([model_blocks, np.zeros(len(block_bytes), dtype=np.bool_)]),
        flop_per_unit=np.append(flop_per_unit, 0.5e12),
        accuracy=np.vstack([accuracy, np.full(domains, 0.88)]),
        central=2 * domains,
        storage_bytes=np.full(sites, float(storage_bytes)),
        flop_per_s=np.append(generator.uniform(2e12, 4e12, sites), 20e12),
        pull_s=pull_s,
        exchange_s=exchange_s,
    )


def _models(shared: float, domains: int) -> tuple[Masks, Floats]:
    """Which blocks each model has, large ones first, shape (2 V, B), and the blocks' bytes."""
    rows: list[list[int]] = []
    sizes: list[float] = []
    for blocks, block_bytes in (
        (LARGE_BLOCKS, LARGE_BLOCK_BYTES),
        (SMALL_BLOCKS, SMALL_BLOCK_BYTES),
    ):
        common = round(shared * blocks)
        backbone = list(range(len(sizes), len(sizes) + common))
        sizes += [block_bytes] * common
        for _ in range(domains):
            rows.append([*backbone, *range(len(sizes), len(sizes) + blocks - common)])
            sizes += [block_bytes] * (blocks - common)
    masks = np.zeros((len(rows), len(sizes)), dtype=np.bool_)
    for row, own in zip(masks, rows, strict=True):
        row[own] = True
    return masks, np.array(sizes)

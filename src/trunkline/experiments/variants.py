"""Variants of ResNet-18, -34 and -50 with RANDOM weights: for timing, never for answers.

Moving and computing take the same time whatever the values are, so a library for timing needs no
training. Each network gets one random backbone; a variant keeps its bottom layers and draws the
rest anew. How many it keeps follows the calibrated setting of the project's simulations of
PartialLoading, Section VII ("models share an average of 85 % of layers"): a share uniform in
0.85 +- 0.15 for each variant, the last layer always its own.

Everything follows from the seed: the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trunkline.experiments import networks
from trunkline.experiments.layers import NETWORKS, layers_of


@dataclass(frozen=True, slots=True)
class RandomVariant:
    """A variant to be generated: `shared` of the `layers` layers are its backbone's.

    `index` tells the variants of one network apart.
    """

    network: str
    index: int
    shared: int
    layers: int

    @property
    def name(self) -> str:
        """The name it is stored under, such as `resnet50-random-07`."""
        return f"{self.network}-random-{self.index:02d}"

    @property
    def factory(self) -> str:
        """The factory that builds its module, for the store."""
        return f"{networks.__name__}:{self.network}"


def draw_variants(
    per_network: int = 10,
    *,
    seed: int = 0,
    share: float = 0.85,
    spread: float = 0.15,
) -> tuple[RandomVariant, ...]:
    """Draw how many layers each variant shares; the networks take turns in the list.

    Args:
        per_network: variants of each of ResNet-18, -34 and -50.
        share, spread: a variant shares a part of its layers uniform in share +- spread, rounded
            to whole layers, at most all but the last.
    """
    rng = np.random.default_rng([seed, 0])
    variants = []
    for index in range(per_network):
        for network in NETWORKS:
            count = len(layers_of(network))
            wanted = round(count * rng.uniform(share - spread, share + spread))
            variants.append(RandomVariant(network, index, min(max(wanted, 0), count - 1), count))
    return tuple(variants)


def _draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Random values for one tensor, on a scale that keeps the outputs of a deep network finite."""
    if kind == "num_batches_tracked":
        return torch.tensor(int(rng.integers(1, 100_000)))
    if kind == "weight" and len(shape) > 1:  # He's initialisation: variance 2 / fan-in
        scale = np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32) * scale)
    low, high = (0.5, 1.0) if kind in ("weight", "running_var") else (-0.1, 0.1)
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _layers(network: str, start: int, stream: list[int]) -> Iterator[tuple[str, Tensor]]:
    """Random tensors for the layers of a network from number `start` up."""
    for number, layer in enumerate(layers_of(network)):
        if number >= start:
            rng = np.random.default_rng([*stream, number])
            for kind, shape in layer.tensors:
                yield f"{layer.name}.{kind}", _draw(kind, shape, rng)


def backbone_state(network: str, *, seed: int = 0) -> dict[str, Tensor]:
    """The random backbone of a network, fp32 tensors by name."""
    return dict(_layers(network, 0, [seed, 1, NETWORKS.index(network)]))


def variant_state(
    variant: RandomVariant, backbone: dict[str, Tensor], *, seed: int = 0
) -> dict[str, Tensor]:
    """A variant's tensors: the backbone's own (not copies) below, fresh ones above.

    Args:
        backbone: what `backbone_state` returned for the variant's network and the same seed.
    """
    stream = [seed, 2, NETWORKS.index(variant.network), variant.index]
    return {**backbone, **dict(_layers(variant.network, variant.shared, stream))}

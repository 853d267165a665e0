"""The layers of ResNet-18, -34 and -50 and the sizes of their tensors, without torch.

The networks are those of `experiments.networks` (He et al. 2015, Table 1), written down once more
as what they hold instead of what they compute, so that simulations need no torch; a test compares
the two tensor by tensor. A *layer* is a convolution, a batch normalisation or a fully connected
module; layers come in the order in which the modules register them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

NUM_CLASSES = 10
"""CIFAR-10's, and so those of every model in PartialLoading's Section VII."""

BYTES = {"num_batches_tracked": 8}
"""Bytes of an element of a tensor, by the tensor's kind; all others are fp32, 4 bytes."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: its name in the network, and its tensors as (kind, shape) pairs."""

    name: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def bytes(self) -> int:
        """The size of its tensors, buffers included."""
        return sum(math.prod(shape) * BYTES.get(kind, 4) for kind, shape in self.tensors)


@dataclass(frozen=True, slots=True)
class _Block:
    """A kind of residual block: its convolutions as (inputs, outputs, kernel), in widths.

    Attributes:
        convolutions: widths are multiples of the stage's; None is whatever the block receives.
        expansion: the block's outputs, in widths.
    """

    convolutions: tuple[tuple[int | None, int, int], ...]
    expansion: int


_BASIC = _Block(((None, 1, 3), (1, 1, 3)), 1)
_BOTTLENECK = _Block(((None, 1, 1), (1, 1, 3), (1, 4, 1)), 4)

_NETWORKS = {
    "resnet18": (_BASIC, (2, 2, 2, 2)),
    "resnet34": (_BASIC, (3, 4, 6, 3)),
    "resnet50": (_BOTTLENECK, (3, 4, 6, 3)),
}

NETWORKS = tuple(_NETWORKS)
"""The names of the networks."""


@cache
def layers_of(network: str) -> tuple[Layer, ...]:
    """The layers of a network (KeyError if it is none of `NETWORKS`)."""
    return tuple(_layers(*_NETWORKS[network]))


@cache
def layer_bytes(network: str) -> tuple[int, ...]:
    """The size in bytes (fp32, with BatchNorm's buffers) of each layer of a network, in order."""
    return tuple(layer.bytes for layer in layers_of(network))


def _layers(block: _Block, depths: tuple[int, ...]) -> Iterator[Layer]:
    yield _convolution("conv1", 3, 64, 7)
    yield _normalisation("bn1", 64)
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for index in range(depth):
            yield from _residual(f"layer{stage + 1}.{index}", block, channels, width)
            channels = width * block.expansion
    yield Layer("fc", (("weight", (NUM_CLASSES, channels)), ("bias", (NUM_CLASSES,))))


def _residual(name: str, block: _Block, channels: int, width: int) -> Iterator[Layer]:
    """The layers of one residual block: its main path, then the projection of its shortcut."""
    for number, (inputs, outputs, kernel) in enumerate(block.convolutions, start=1):
        received = channels if inputs is None else inputs * width
        yield _convolution(f"{name}.conv{number}", received, outputs * width, kernel)
        yield _normalisation(f"{name}.bn{number}", outputs * width)
    if channels != block.expansion * width:
        yield _convolution(f"{name}.downsample.0", channels, block.expansion * width, 1)
        yield _normalisation(f"{name}.downsample.1", block.expansion * width)


def _convolution(name: str, inputs: int, outputs: int, kernel: int) -> Layer:
    return Layer(name, (("weight", (outputs, inputs, kernel, kernel)),))


def _normalisation(name: str, width: int) -> Layer:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return Layer(name, (*((kind, (width,)) for kind in vectors), ("num_batches_tracked", ())))

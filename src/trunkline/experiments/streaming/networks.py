"""Sizes and work of the streamed networks, block by block, from their definitions.

ViT-S/16 and ViT-B/16 (Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; S as in Touvron
et al., "Training data-efficient image transformers", 2021), ResNet-50 (He et al., 2015) and GPT-2
small (Radford et al., 2019), in 16-bit numbers. A block is what executes as one piece: the
embedding, each transformer or bottleneck block, the head. FLOP are two a multiplication-addition;
norms and activations, some per cent, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.streaming import Layer, StreamingModel

BITS = 16
IMAGE = 224
PATCH = 16
TOP_1 = {"resnet-50": 0.761, "vit-s": 0.798, "vit-b": 0.818}
"""Accuracies on ImageNet-1k as published: torchvision's first weights, DeiT-S and DeiT-B."""


def vit(name: str, width: int, *, blocks: int = 12, trunk: str | None = None) -> StreamingModel:
    """A vision transformer of this width with 1,000 classes.

    Args:
        trunk: names its blocks but the head: models of one trunk share them.
    """
    patches = (IMAGE // PATCH) ** 2
    embedding = Layer(
        BITS * (3 * PATCH**2 * width + width + (patches + 2) * width),
        2.0 * patches * 3 * PATCH**2 * width,
    )
    body = [embedding, *(transformer_block(width, patches + 1) for _ in range(blocks))]
    if trunk is not None:
        body = [Layer(one.bits, one.flop, f"{trunk}/{n}") for n, one in enumerate(body)]
    head = Layer(BITS * (2 * width + 1000 * width + 1000), 2.0 * 1000 * width)
    return StreamingModel(name, TOP_1.get(name, TOP_1["vit-s"]), (*body, head))


def transformer_block(width: int, tokens: int) -> Layer:
    """Attention and a perceptron of four times the width: 12 d^2 + 13 d parameters."""
    parameters = 12 * width**2 + 13 * width
    return Layer(BITS * parameters, 2.0 * tokens * 12 * width**2 + 4.0 * tokens**2 * width)


def gpt2(*, tokens: int = 64) -> StreamingModel:
    """GPT-2 small on so many tokens; the head is the embedding, which travels once."""
    width, words, places = 768, 50257, 1024
    embedding = Layer(BITS * (words + places) * width, 0.0)
    head = Layer(BITS * 2 * width, 2.0 * words * width)
    body = (transformer_block(width, tokens) for _ in range(12))
    return StreamingModel("gpt-2", 1.0, (embedding, *body, head))


def resnet50() -> StreamingModel:
    """ResNet-50: the stem, 16 bottleneck blocks, the classifier."""
    stem = Layer(BITS * (3 * 49 * 64 + 128), 2.0 * 3 * 49 * 64 * 112**2)
    head = Layer(BITS * (2048 * 1000 + 1000), 2.0 * 2048 * 1000)
    return StreamingModel("resnet-50", TOP_1["resnet-50"], (stem, *_bottlenecks(), head))


def _bottlenecks() -> Iterator[Layer]:
    """Blocks of 1x1, 3x3 and 1x1 convolutions with batch norms; a stage's first has a shortcut of
    its own and (but for the first stage) halves the side in its 3x3 convolution."""
    inputs, side = 64, 56
    for stage, count in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        outputs = 4 * width
        for block in range(count):
            smaller = side // 2 if stage > 0 and block == 0 else side
            first, second, third = inputs * width, 9 * width**2, width * outputs
            shortcut = inputs * outputs if block == 0 else 0
            norms = 2 * (2 * width + outputs) + (2 * outputs if shortcut else 0)
            macs = first * side**2 + (second + third + shortcut) * smaller**2
            yield Layer(BITS * (first + second + third + shortcut + norms), 2.0 * macs)
            inputs, side = outputs, smaller

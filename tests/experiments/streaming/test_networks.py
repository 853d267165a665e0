"""Blocks of the streamed networks have the published sizes."""

from __future__ import annotations

import pytest

from trunkline.experiments.streaming.networks import gpt2, resnet50, vit

# Parameters as the projects publish them: DeiT-S and DeiT-B (timm), ResNet-50 (torchvision), GPT-2
# small (transformers; the head is tied to the embedding). GFLOP of one sample, two a
# multiplication-addition: 4.6, 17.6 and 4.09 GMAC are published for the first three; GPT-2 on 64
# tokens does 2 * 64 * 85.0 million weights of its blocks, attention, 2 * 50257 * 768 for a word.
PUBLISHED = {
    "vit-s": (vit("vit-s", 384), 14, 22_050_664, 9.2),
    "vit-b": (vit("vit-b", 768), 14, 86_567_656, 35.1),
    "resnet-50": (resnet50(), 18, 25_557_032, 8.18),
    "gpt-2": (gpt2(), 14, 124_439_808, 11.1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    """Blocks hold as many parameters in 16 bits as the whole network has, and do its work."""
    model, blocks, parameters, gflop = PUBLISHED[name]
    assert len(model.layers) == blocks
    assert sum(layer.bits for layer in model.layers) == 16 * parameters
    assert sum(layer.flop for layer in model.layers) / 1e9 == pytest.approx(gflop, rel=0.01)


def test_models_of_one_trunk_share_all_but_the_head():
    """Fine-tuned models name the same blocks, and none for the head."""
    first, second = (vit(name, 384, trunk="t") for name in ("a", "b"))
    assert [layer.block for layer in first.layers] == [*(f"t/{n}" for n in range(13)), None]
    assert first.layers == second.layers

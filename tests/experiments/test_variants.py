"""The random variants."""

import numpy as np
import pytest
import torch

from trunkline.experiments import networks, variants
from trunkline.experiments.layers import NUM_CLASSES


def test_ten_variants_of_each_network_share_85_percent_on_average():
    """The draws stay in 0.85 +- 0.15, the last layer is always a variant's own."""
    drawn = variants.draw_variants()
    assert len({v.name for v in drawn}) == 30
    assert [v.network for v in drawn].count("resnet34") == 10
    shares = np.array([v.shared / v.layers for v in drawn])
    # Uniform on 0.70..1.00 has standard deviation 0.087; the mean of 30 has 0.016: 0.05 is 3 sigma
    assert abs(shares.mean() - 0.85) < 0.05
    assert shares.min() >= 0.69  # 0.70 rounded to whole layers
    assert all(v.shared < v.layers for v in drawn)


@pytest.mark.parametrize("network", ["resnet18"])
def test_a_variant_holds_its_backbones_tensors_below_and_its_own_above(network):
    """Shared layers are the very tensors of the backbone; every layer above differs."""
    (variant,) = (v for v in variants.draw_variants(1) if v.network == network)
    backbone = variants.backbone_state(network)
    state = variants.variant_state(variant, backbone)
    names = list(networks.layers(networks.resnet18()))
    for key, tensor in state.items():
        layer = names.index(key.rpartition(".")[0])
        assert (tensor is backbone[key]) == (layer < variant.shared), key
        if layer >= variant.shared and tensor.numel() > 1:
            assert not torch.equal(tensor, backbone[key])


def test_weights_fit_their_network_and_give_finite_repeatable_outputs():
    """A variant loads strictly, answers with finite numbers, and its seed fixes its bytes."""
    variant = variants.draw_variants(1)[0]
    module, _, name = variant.factory.partition(":")
    assert module == networks.__name__
    net = getattr(networks, name)(num_classes=NUM_CLASSES).eval()
    state = variants.variant_state(variant, variants.backbone_state(variant.network))
    net.load_state_dict(state)
    with torch.inference_mode():
        out = net(torch.ones(1, 3, 32, 32))
    assert torch.isfinite(out).all()
    assert float(out.std()) > 0
    again = variants.variant_state(variant, variants.backbone_state(variant.network))
    assert all(torch.equal(again[k], v) for k, v in state.items())
    other = variants.backbone_state(variant.network, seed=1)
    assert not torch.equal(other["conv1.weight"], state["conv1.weight"])

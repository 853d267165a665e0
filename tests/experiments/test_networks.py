"""The networks of the experiments."""

import pytest
import torch

from trunkline.experiments import networks


@pytest.mark.parametrize(
    ("factory", "layers", "megabytes"),
    # Sizes and counts from the networks' published definitions (specs of the project):
    # 11,181,642 parameters * 4 B + 9,600 running statistics * 4 B + 20 counters * 8 B = 44.77 MB
    # for ResNet-18; the others likewise.
    [("resnet18", 41, 44.77), ("resnet34", 73, 85.23), ("resnet50", 107, 94.33)],
)
def test_resnets_have_the_published_layers_and_sizes(factory, layers, megabytes):
    """Layers are counted as in the paper, and bytes include BatchNorm's buffers."""
    with torch.device("meta"):
        net = getattr(networks, factory)()
    size = sum(one.numel() * one.element_size() for one in net.state_dict().values())
    assert len(networks.layers(net)) == layers
    assert round(size / 1e6, 2) == megabytes


def test_resnet_names_are_the_customary_ones():
    """Published weights of a ResNet-50 fit by name and shape."""
    with torch.device("meta"):
        state = networks.resnet50(num_classes=1000).state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["bn1.running_mean"].shape == (64,)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer1.0.downsample.1.num_batches_tracked"].shape == ()
    assert state["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert state["fc.weight"].shape == (1000, 2048)
    assert "layer1.1.downsample.0.weight" not in state
    # 53 convolutions, 53 batch normalisations of 5 tensors, fc of 2
    assert len(state) == 53 + 53 * 5 + 2


@pytest.mark.parametrize("factory", ["resnet18", "resnet50"])
def test_resnets_answer_small_and_large_images(factory):
    """32x32 and 128x128 images both give one row of logits each."""
    net = getattr(networks, factory)(num_classes=7).eval()
    with torch.inference_mode():
        for side in (32, 128):
            assert net(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_digits_net_has_twelve_freezable_layers():
    """Six convolutions with their batch normalisations below the last layer."""
    net = networks.digits_net(num_classes=5).eval()
    names = list(networks.layers(net))
    assert names == [f"{kind}{i}" for i in range(1, 7) for kind in ("conv", "bn")] + ["fc"]
    with torch.inference_mode():
        assert net(torch.zeros(3, 1, 8, 8)).shape == (3, 5)

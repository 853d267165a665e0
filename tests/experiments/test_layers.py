"""The layers that simulations count are those of the real networks."""

import pytest

from trunkline.experiments import networks
from trunkline.experiments.layers import NETWORKS, NUM_CLASSES, layer_bytes, layers_of


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_those_of_the_torch_module(network):
    """Names, kinds, shapes, sizes and order agree with the network itself, by tensor."""
    module = getattr(networks, network)(NUM_CLASSES)
    real = networks.layers(module)
    assert [layer.name for layer in layers_of(network)] == list(real)
    for layer in layers_of(network):
        state = real[layer.name].state_dict()
        assert dict(layer.tensors) == {kind: tuple(t.shape) for kind, t in state.items()}
        assert layer.bytes == sum(tensor.nbytes for tensor in state.values())


@pytest.mark.parametrize(
    ("network", "layers", "megabytes"),
    [("resnet18", 41, 44.77), ("resnet34", 73, 85.23), ("resnet50", 107, 94.33)],
)
def test_layer_bytes_add_up_to_the_published_sizes(network, layers, megabytes):
    """As many layers as the paper's networks have, and their known sizes."""
    assert len(layer_bytes(network)) == layers
    assert round(sum(layer_bytes(network)) / 1e6, 2) == megabytes

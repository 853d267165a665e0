"""Training on the digits."""

import pytest
import torch

from trunkline.experiments import digits
from trunkline.experiments.networks import layers


def frozen_tensors(variant):
    """The names of the tensors of a variant's frozen layers."""
    names = list(layers(digits.digits_net()))[: variant.frozen]
    return [k for k in variant.state if k.rpartition(".")[0] in names]


def test_the_parts_of_the_data_are_disjoint_and_complete(digits_data):
    """Half, quarter, quarter of the 1,797 digits: 898 + 449 + 450."""
    parts = (digits_data.backbone, digits_data.tuning, digits_data.held_out)
    assert [len(part.classes) for part in parts] == [898, 449, 450]
    assert all(len(part.images) == len(part.classes) for part in parts)
    assert max(float(part.images.abs().max()) for part in parts) <= 1.0


def test_a_task_keeps_its_labels_numbers_them_and_turns_the_images(digits_data):
    """Labels 5-9 become classes 0-4, and one quarter turn is torch's counter-clockwise one."""
    all_of_them = digits_data.held_out
    task = digits.DigitsTask("t", (5, 6, 7, 8, 9), turns=1)
    some = all_of_them.of(task)
    keep = all_of_them.classes >= 5
    assert torch.equal(some.classes + 5, all_of_them.classes[keep])
    # counter-clockwise: the right-most column becomes the top row
    assert torch.equal(some.images[:, 0, 0, :], all_of_them.images[keep][:, 0, :, -1])


def test_frozen_layers_are_the_backbones_bit_by_bit(small_study):
    """Parameters and running statistics below the frozen depth never change, else nothing is
    shared; those above do."""
    for variant in small_study.variants:
        frozen = frozen_tensors(variant)
        # 4 convolutions of 1 tensor and 4 batch normalisations of 5 in 8 layers
        assert len(frozen) == (4 * 1 + 4 * 5 if variant.frozen == 8 else 0)
        for name, tensor in variant.state.items():
            if name.startswith("fc."):
                continue
            same = torch.equal(tensor, small_study.backbone.state[name])
            assert same == (name in frozen), name


def test_training_learns_and_is_repeatable(digits_data, small_study):
    """Accuracy is far above chance, and the same seed gives the same bits."""
    assert small_study.backbone.accuracy > 0.8  # chance: 0.1
    task = digits.TASKS[1]
    (once,) = (v for v in small_study.variants if v.task == task and v.frozen == 8)
    assert once.accuracy > 0.8  # chance: 0.2
    tuning = digits.Training(epochs=2, rate=0.05)
    again = digits.fine_tune(small_study.backbone, digits_data, task, 8, tuning, seed=0)
    assert again.accuracy == once.accuracy
    assert all(torch.equal(again.state[k], v) for k, v in once.state.items())
    other = digits.fine_tune(small_study.backbone, digits_data, task, 8, tuning, seed=1)
    assert not torch.equal(other.state["fc.weight"], once.state["fc.weight"])


def test_a_whole_frozen_network_is_the_backbone_with_a_new_last_layer(digits_data, small_study):
    """Training on cached features of the frozen part equals running the whole network."""
    variant = small_study.variants[1]
    net = digits.digits_net(len(variant.task.labels))
    net.load_state_dict(variant.state)
    assert digits.accuracy(net, digits_data.held_out.of(variant.task)) == variant.accuracy


def test_an_odd_depth_is_refused(digits_data, small_study):
    """A convolution without its batch normalisation is not a depth of the experiment."""
    with pytest.raises(ValueError, match="not 3"):
        digits.fine_tune(
            small_study.backbone, digits_data, digits.TASKS[0], 3, digits.Training(1, 0.1)
        )

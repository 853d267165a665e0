"""Accuracy against frozen depth."""

import pytest
import torch

from trunkline.experiments import accuracy, digits


def made_up(values):
    """A study of one task whose accuracies are given as {depth: [one a seed]}."""
    task = digits.TASKS[0]
    variants = tuple(
        digits.FineTuned(task, depth, seed, value, {})
        for depth, row in values.items()
        for seed, value in enumerate(row)
    )
    return digits.Study(digits.Backbone(1.0, {"fc.bias": torch.zeros(10)}), variants)


def test_points_hold_mean_worst_and_best_seed_by_increasing_depth():
    """0.8 and 0.9 have mean 0.85; depths come sorted."""
    study = made_up({8: [0.5, 0.7], 0: [0.8, 0.9]})
    ((task, line),) = accuracy.points(study).items()
    assert task == digits.TASKS[0]
    assert [point.frozen for point in line] == [0, 8]
    assert line[0].mean == pytest.approx(0.85)
    assert (line[0].low, line[0].high) == (0.8, 0.9)


def test_the_share_of_bytes_grows_with_depth_from_nothing():
    """Nothing frozen shares nothing; all but the last layer share all but its bytes."""
    shares = [accuracy.shared_bytes(depth) for depth in digits.DEPTHS]
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    # the last layer: 64*10 weights + 10 biases, 4 B each = 2,600 B of the whole
    whole = sum(tensor.nbytes for tensor in digits.digits_net().state_dict().values())
    assert shares[-1] == pytest.approx(1 - 2600 / whole)


def test_the_picture_is_written(tmp_path, small_study):
    """A PNG lies where it was asked for."""
    path = accuracy.draw_accuracy(tmp_path / "accuracy.png", small_study)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_depths_worth_sharing_are_the_deepest_that_cost_little():
    """Within 2 points of the best (0.99): 0, 4 and 6; the two deepest of them are 4 and 6. Asked
    for more than there are, the most accurate of the rest (8) comes in."""
    study = made_up({0: [0.98], 4: [0.99], 6: [0.975], 8: [0.9], 10: [0.5]})
    task = digits.TASKS[0]
    assert accuracy.depths_worth_sharing(study, task, 2) == [4, 6]
    assert accuracy.depths_worth_sharing(study, task, 4) == [0, 4, 6, 8]

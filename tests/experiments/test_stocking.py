"""Putting the demo's models into a store."""

import pytest
import torch

from trunkline.errors import InputError
from trunkline.experiments import digits, stocking, variants
from trunkline.experiments.layers import layer_bytes
from trunkline.runtime import Runtime
from trunkline.store import Store


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store.open(tmp_path / "store", create=True)


def test_digits_share_their_frozen_layers_and_answer_as_trained(
    tmp_path, store, digits_data, small_study
):
    """A stored variant names the held-out digits exactly as the trained one did, and two variants
    frozen to one depth share those layers' bytes and no others."""
    chosen = [v for v in small_study.variants if v.frozen == 8]
    paths = stocking.save_digits(chosen, tmp_path / "weights")
    first, second = stocking.stock_digits(store, chosen, paths)
    frozen = [
        tensor.nbytes
        for name, tensor in chosen[0].state.items()
        if torch.equal(tensor, small_study.backbone.state.get(name, torch.zeros(())))
    ]
    assert second.shared == {first.name: sum(frozen)}
    assert second.bytes_new == second.bytes_in - sum(frozen)
    with Runtime(store) as runtime:
        for variant in chosen:
            runtime.switch(variant.name)
            held_out = digits_data.held_out.of(variant.task)
            assert digits.accuracy(runtime.module(variant.name), held_out) == variant.accuracy


def test_random_variants_are_made_once_and_again_when_they_differ(store):
    """A second call imports nothing; another seed replaces; the estimate bounds what is written."""
    drawn = [v for v in variants.draw_variants(2) if v.network == "resnet18"]
    estimate = stocking.bytes_to_write(store, drawn)
    seen = []
    reports = stocking.stock_random(store, drawn, tell=seen.append)
    assert [r.name for r in reports] == [v.name for v in drawn] == seen
    assert sum(r.bytes_new for r in reports) <= estimate
    assert sum(r.bytes_new for r in reports) == store.library().distinct_bytes
    assert stocking.stock_random(store, drawn) == []
    assert stocking.bytes_to_write(store, drawn) == 0
    (again,) = stocking.stock_random(store, drawn[:1], seed=1)
    assert again.replaced


def test_random_variants_share_exactly_their_common_bottom_layers(store):
    """The store finds the sharing that the variants were drawn with."""
    drawn = [v for v in variants.draw_variants(2) if v.network == "resnet18"]
    stocking.stock_random(store, drawn)
    common = sum(layer_bytes("resnet18")[: min(v.shared for v in drawn)])
    assert store.library().sharing_matrix[0, 1] == common


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path, small_study):
    """A file in the folder's place is named in the error."""
    (tmp_path / "weights").write_text("in the way")
    with pytest.raises(InputError, match="weights"):
        stocking.save_digits(small_study.variants[:1], tmp_path / "weights")

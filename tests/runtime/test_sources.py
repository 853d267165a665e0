"""State dicts as a source of weights."""

from __future__ import annotations

import pytest
import torch

from trunkline.errors import WeightsFormatError
from trunkline.runtime import Runtime, state_dict_source
from trunkline.store import Store


def test_tied_tensors_are_stored_once(store: Store) -> None:
    """Two names of one memory give one tensor and a note of the tie; equal values don't."""
    weight = torch.arange(6.0).reshape(2, 3)
    source = state_dict_source({"a.w": weight, "b.w": weight, "c.w": weight.clone()})
    assert [name for name, *_ in source.tensors] == ["a.w", "c.w"]
    assert source.tied == {"b.w": "a.w"}
    assert store.add("m", source).bytes_in == 2 * 24


def test_views_that_differ_are_stored_each() -> None:
    """A slice or a transposition of the same memory is another tensor."""
    weight = torch.arange(4.0).reshape(2, 2)
    source = state_dict_source({"w": weight, "row": weight[:1], "turned": weight.T})
    entries = {name: (shape, bytes(data)) for name, _, shape, data in source.tensors}
    assert not source.tied
    assert entries["turned"] == ((2, 2), weight.T.contiguous().numpy().tobytes())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.zeros(0, 2),
        torch.ones(3, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2).to(torch.float8_e4m3fn),
    ],
    ids=["scalar", "empty", "bf16", "bool", "conjugated", "f8"],
)
def test_every_kind_of_tensor_comes_in(store: Store, tensor: torch.Tensor) -> None:
    """Scalars, empty tensors and all types keep shape, type and bytes."""
    store.add("m", state_dict_source({"x.t": tensor}))
    (spec,) = store.model("m").blocks[0].tensors
    assert spec.shape == tuple(tensor.shape)
    assert spec.bytes == tensor.numel() * tensor.element_size()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.empty(1, device="meta"), "meta"),
        (3, "not a tensor"),
    ],
)
def test_what_has_no_dense_data_is_refused(value: object, message: str) -> None:
    """Sparse and meta tensors, and values that are no tensors, are refused by name."""
    with pytest.raises(WeightsFormatError, match=f"'w'.*{message}"):
        state_dict_source({"w": value})  # type: ignore[dict-item]


def test_runtime_is_exported_lazily() -> None:
    """`trunkline.runtime` names what it has and nothing else."""
    import trunkline.runtime

    assert trunkline.runtime.Runtime is Runtime
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trunkline.runtime.nothing

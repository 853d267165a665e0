"""The types of safetensors, their sizes, kinds and PyTorch names."""

from __future__ import annotations

import pytest

from trunkline.store.dtypes import ITEM_BYTES, from_torch_name, kind, precision, torch_name


@pytest.mark.parametrize("dtype", sorted(ITEM_BYTES))
def test_every_type_is_pytorchs(dtype: str) -> None:
    """Each type has a PyTorch type of the same size, and the names map back."""
    torch = pytest.importorskip("torch")
    assert getattr(torch, torch_name(dtype)).itemsize == ITEM_BYTES[dtype]
    assert from_torch_name(f"torch.{torch_name(dtype)}") == dtype


def test_kinds() -> None:
    """Floats (bfloat16 and the 8-bit ones, too), integers, truth values, complex numbers."""
    found = {one: [d for d in sorted(ITEM_BYTES) if kind(d) == one] for one in ("bool", "complex")}
    assert found == {"bool": ["BOOL"], "complex": ["C64"]}
    assert [d for d in sorted(ITEM_BYTES) if kind(d) == "int"] == [
        "I16", "I32", "I64", "I8", "U16", "U32", "U64", "U8",
    ]  # fmt: skip


def test_precision_is_that_of_most_bytes() -> None:
    """ModelPack's precision names the type with the most bytes."""
    assert precision({"F32": 10, "BF16": 20, "I64": 8}) == "bf16"
    assert precision({"I8": 1}) == "int8"
    assert precision({}) == "mixed"


def test_unknown_names() -> None:
    """A PyTorch type that safetensors lacks has no name there."""
    assert from_torch_name("complex128") is None

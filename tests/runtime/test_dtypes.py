"""Types of the format and of PyTorch."""

from __future__ import annotations

import pytest
import torch

from trunkline.errors import ArchitectureError
from trunkline.runtime.dtypes import TORCH_DTYPES, kind, safetensors_dtype, torch_dtype
from trunkline.store.dtypes import ITEM_BYTES


def test_types_map_there_and_back_with_their_sizes() -> None:
    """Every type of the format that PyTorch has maps both ways and has the same item size."""
    assert {"F32", "BF16", "F16", "F8_E4M3", "BOOL", "I8", "I64", "C64"} <= TORCH_DTYPES.keys()
    for name, dtype in TORCH_DTYPES.items():
        assert safetensors_dtype(dtype) == name
        assert dtype.itemsize == ITEM_BYTES[name]


def test_types_without_a_counterpart_are_told() -> None:
    """A type that only one side has is an ArchitectureError."""
    with pytest.raises(ArchitectureError, match="F9"):
        torch_dtype("F9")
    with pytest.raises(ArchitectureError, match="complex128"):
        safetensors_dtype(torch.complex128)


def test_kinds() -> None:
    """Floating, whole, boolean and complex types are told apart."""
    types = (torch.bfloat16, torch.uint8, torch.bool, torch.complex64)
    assert [kind(one) for one in types] == ["float", "int", "bool", "complex"]

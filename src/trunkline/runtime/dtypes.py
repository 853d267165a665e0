"""PyTorch's types for those of the safetensors format."""

from __future__ import annotations

import torch

from trunkline.errors import ArchitectureError
from trunkline.store.dtypes import ITEM_BYTES, from_torch_name, torch_name
from trunkline.store.dtypes import kind as kind_of

TORCH_DTYPES: dict[str, torch.dtype] = {
    dtype: found
    for dtype in ITEM_BYTES
    if isinstance(found := getattr(torch, torch_name(dtype), None), torch.dtype)
}
"""The safetensors types that this PyTorch has."""


def torch_dtype(dtype: str) -> torch.dtype:
    """PyTorch's type for a safetensors type.

    Raises:
        ArchitectureError: this PyTorch has none.
    """
    try:
        return TORCH_DTYPES[dtype]
    except KeyError:
        raise ArchitectureError(
            f"tensors of type {dtype} need a newer PyTorch than {torch.__version__}"
        ) from None


def safetensors_dtype(dtype: torch.dtype) -> str:
    """The safetensors name of a PyTorch type (ArchitectureError where the format has none)."""
    name = from_torch_name(str(dtype))
    if name is None:
        raise ArchitectureError(f"a store holds no tensors of type {dtype}")
    return name


def kind(dtype: torch.dtype) -> str:
    """What the elements are: `float`, `int`, `bool` or `complex` (ArchitectureError: no such type
    can be stored)."""
    return kind_of(safetensors_dtype(dtype))

"""The element types of the safetensors format: names, sizes, kinds.

Source: the safetensors format description and the variants that safetensors 0.8 accepts. Types of
less than a byte per element (`F4`, `F6_E2M3`, `F6_E3M2`) are known and refused: their tensors may
end inside a byte, and PyTorch has no dtype to load most of them into.
"""

from __future__ import annotations

from typing import Final

ITEM_BYTES: Final[dict[str, int]] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
    "F8_E8M0": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "C64": 8,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}
"""Bytes per element of each type a store holds."""

SUB_BYTE: Final[frozenset[str]] = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
"""Types of the format that a store refuses."""

_TORCH: Final[dict[str, str]] = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
}

_PRECISION: Final[dict[str, str]] = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F64": "fp64"}


def torch_name(dtype: str) -> str:
    """The name PyTorch gives to a safetensors type: `BF16` -> `bfloat16` (KeyError if unknown)."""
    return _BACK[dtype]


def from_torch_name(name: str) -> str | None:
    """The safetensors type of a PyTorch (or numpy) type name: `float32` -> `F32`; None if none."""
    return _TORCH.get(name.removeprefix("torch."))


def kind(dtype: str) -> str:
    """What the elements are: `float`, `int`, `bool` or `complex`."""
    if dtype == "BOOL":
        return "bool"
    if dtype == "C64":
        return "complex"
    return "float" if "F" in dtype else "int"


def precision(bytes_by_dtype: dict[str, int]) -> str:
    """ModelPack's `precision` for a model with these bytes per type: the type that fills most."""
    if not bytes_by_dtype:
        return "mixed"
    most = max(sorted(bytes_by_dtype), key=lambda dtype: bytes_by_dtype[dtype])
    return _PRECISION.get(most, torch_name(most))


_BACK: Final[dict[str, str]] = {dtype: name for name, dtype in _TORCH.items()}

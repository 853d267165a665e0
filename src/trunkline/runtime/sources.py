"""PyTorch state dicts as a source of weights for a store."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from trunkline.errors import WeightsFormatError
from trunkline.runtime.dtypes import safetensors_dtype
from trunkline.store import Architecture, InputSpec
from trunkline.store import Tensors as _Tensors


def state_dict_source(
    state_dict: Mapping[str, torch.Tensor],
    *,
    architecture: Architecture | None = None,
    input: InputSpec | None = None,
    metadata: Mapping[str, str] | None = None,
) -> _Tensors:
    """A source for `Store.add` out of `module.state_dict()`.

    Names whose tensors are one and the same (same memory, shape, strides and type: tied weights)
    are stored once, under the first of them. Tensors on an accelerator, or not contiguous, are
    copied; tensors that are views of one memory but not the same are stored each.

    Raises:
        WeightsFormatError: a value that is no dense tensor with data.
        ArchitectureError: a type that the format does not have.
    """
    first: dict[tuple[object, ...], str] = {}
    tied: dict[str, str] = {}
    entries: list[tuple[str, str, tuple[int, ...], object]] = []
    for name, tensor in state_dict.items():
        _check_dense(name, tensor)
        identity = _identity(tensor)
        if tensor.numel() and identity in first:
            tied[name] = first[identity]
            continue
        first.setdefault(identity, name)
        plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        data = plain.reshape(-1).view(torch.uint8).numpy()
        entries.append((name, safetensors_dtype(tensor.dtype), tuple(tensor.shape), data))
    return _Tensors(entries, architecture, input, dict(metadata or {}), tied)


def _check_dense(name: str, tensor: object) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise WeightsFormatError(f"state dict: {name!r} is {type(tensor).__name__}, not a tensor")
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise WeightsFormatError(f"state dict: {name!r} is sparse or quantised; store it dense")
    if tensor.is_meta:
        raise WeightsFormatError(f"state dict: {name!r} is on the meta device and has no data")


def _identity(tensor: torch.Tensor) -> tuple[object, ...]:
    return (
        tensor.device,
        tensor.data_ptr(),
        tuple(tensor.shape),
        tensor.stride(),
        tensor.dtype,
        tensor.is_conj(),
        tensor.is_neg(),
    )

"""Requests of one model, made into batches for its forward, and the answers taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from trunkline.errors import ModelFailedError

Tensors = Mapping[str, torch.Tensor]
Shape = tuple[tuple[str, torch.dtype, tuple[int, ...]], ...]


def extent(inputs: Tensors) -> tuple[int, Shape | None]:
    """How many samples a request brings, the first size that all inputs share, and what requests
    must have in common to run as one batch: names, types and all sizes but the first. 1 and None
    for a request whose inputs share no first size, which runs alone."""
    described = []
    samples: int | None = None
    for name, one in inputs.items():
        shape = tuple(one.shape)
        if not shape or samples not in (None, shape[0]):
            return 1, None
        samples = shape[0]
        described.append((name, one.dtype, shape[1:]))
    if samples is None:
        return 1, None
    if len(described) > 1:
        described.sort(key=lambda one: one[0])
    return samples, tuple(described)


def joined(requests: Sequence[Tensors]) -> Tensors:
    """One batch out of requests of one shape, in their order."""
    if len(requests) == 1:
        return requests[0]
    return {name: torch.cat([one[name] for one in requests]) for name in requests[0]}


def parted(outputs: Tensors, samples: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    """Each request's rows of the outputs, which have one row for each sample (any outputs, for a
    single request)."""
    if len(samples) == 1:
        return [dict(outputs)]
    parts = {name: torch.split(one, list(samples)) for name, one in outputs.items()}
    return [{name: part[place] for name, part in parts.items()} for place in range(len(samples))]


def refuse_nan(model: str, inputs: Tensors, outputs: Tensors) -> None:
    """Refuse outputs with NaN, where all inputs were finite numbers (ModelFailedError)."""
    for name, one in outputs.items():
        if has_nan(one) and all(map(_is_finite, inputs.values())):
            raise ModelFailedError(f"model {model!r} returned NaN in its output {name!r}")


def has_nan(tensor: torch.Tensor) -> bool:
    """Whether any number of a tensor is none."""
    if tensor.dtype in (torch.float32, torch.float64, torch.float16):
        # PyTorch lets another thread have the interpreter in every call, and waits to get it back
        return bool(np.isnan(tensor.numpy()).any())
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    return bool(torch.isnan(tensor).any())


def _is_finite(tensor: torch.Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(torch.isfinite(tensor).all())

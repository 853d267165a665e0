"""Requests of one model, made into batches for its forward, and the answers taken apart.

PyTorch lets another thread have the interpreter in every call, and waits to get it back. For small
tensors that takes longer than the call, so numpy does here what it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
import torch

from trunkline.errors import ModelFailedError

SMALL: Final = 2**14
"""Elements of a tensor that is copied faster than a thread waits for the interpreter."""

_NUMPYS: Final = frozenset(
    {
        *(torch.float32, torch.float64, torch.float16, torch.bool, torch.uint8),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
    }
)

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
    return {name: _concatenated([one[name] for one in requests]) for name in requests[0]}


def _concatenated(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if _is_small(tensors[0], len(tensors)):  # the others are like it
        return torch.from_numpy(np.concatenate([one.numpy() for one in tensors]))
    return torch.cat(tuple(tensors))


def copy_of(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in host memory."""
    if _is_small(tensor):
        return torch.from_numpy(tensor.numpy().copy())
    return tensor.to("cpu", copy=True)


def _is_small(tensor: torch.Tensor, count: int = 1) -> bool:
    """Whether so many tensors like this one are for numpy."""
    return (
        tensor.is_cpu
        and tensor.dtype in _NUMPYS
        and count * tensor.numel() <= SMALL
        and not tensor.requires_grad
        and not tensor.is_neg()
    )


def parted(outputs: Tensors, samples: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    """Each request's rows of the outputs, which have one row for each sample (any outputs, for a
    single request)."""
    if len(samples) == 1:
        return [dict(outputs)]
    parts = {name: _split(one, samples) for name, one in outputs.items()}
    return [{name: part[place] for name, part in parts.items()} for place in range(len(samples))]


def _split(tensor: torch.Tensor, samples: Sequence[int]) -> Sequence[torch.Tensor]:
    if not _is_small(tensor):
        found: Sequence[torch.Tensor] = torch.split(tensor, list(samples))
        return found
    array = tensor.numpy()
    ends = pairwise(accumulate(samples, initial=0))
    return [torch.from_numpy(array[begin:end]) for begin, end in ends]


def refuse_nan(model: str, inputs: Tensors, outputs: Tensors) -> None:
    """Refuse outputs with NaN, where all inputs were finite numbers (ModelFailedError)."""
    for name, one in outputs.items():
        if has_nan(one) and all(map(_is_finite, inputs.values())):
            raise ModelFailedError(f"model {model!r} returned NaN in its output {name!r}")


def has_nan(tensor: torch.Tensor) -> bool:
    """Whether any number of a tensor is none."""
    if tensor.dtype in (torch.float32, torch.float64, torch.float16):
        return bool(np.isnan(tensor.numpy()).any())
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    return bool(torch.isnan(tensor).any())


def _is_finite(tensor: torch.Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(torch.isfinite(tensor).all())

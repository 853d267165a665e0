"""Tensors of the protocol <-> PyTorch's, and the seam for models that take texts or images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch

from trunkline.errors import InputError, ModelFailedError
from trunkline.server.tensors import Tensor
from trunkline.server.work import TensorInfo
from trunkline.store import StoredModel

Array = np.ndarray[Any, Any]


class Processor(Protocol):
    """What turns texts and images into what a model takes, and its outputs into answers
    (`trunkline.server.processing`). Called in a thread, by several requests at once.

    Attributes:
        inputs: what it takes.
    """

    inputs: tuple[TensorInfo, ...]

    def takes(self, names: frozenset[str]) -> bool:
        """Whether inputs of these names are for it, and not the model's own tensors."""

    def encode(self, inputs: Mapping[str, Array]) -> Mapping[str, torch.Tensor]:
        """The model's inputs (InputError: these cannot be used)."""

    def decode(self, outputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor | Array]:
        """What the client gets; arrays of objects are BYTES."""


ProcessorOf = Callable[[StoredModel], Processor | None]
"""A model's own preprocessing, None if it brought none; errors say why it cannot be used."""


DATATYPES: Final[dict[torch.dtype, str]] = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.bfloat16: "BF16",
    torch.float32: "FP32",
    torch.float64: "FP64",
}
"""The protocol's datatype for PyTorch's."""


def to_torch(inputs: Sequence[Tensor]) -> dict[str, torch.Tensor]:
    """The tensors for a model, by name; memory is shared with the request where it can be.

    Raises:
        InputError: one is of type BYTES, which no model computes on.
    """
    return {one.name: _to_torch(one) for one in inputs}


def _to_torch(tensor: Tensor) -> torch.Tensor:
    if tensor.datatype == "BYTES":
        raise InputError(f"input {tensor.name!r}: this model takes numbers, not BYTES")
    array = tensor.array
    if not (array.flags.writeable and array.flags.aligned):
        array = array.copy()  # after JSON of any length, raw data begins anywhere
    found = torch.from_numpy(array)
    return found.view(torch.bfloat16) if tensor.datatype == "BF16" else found


def from_torch(outputs: Mapping[str, torch.Tensor | Array]) -> list[Tensor]:
    """The tensors for a client.

    Raises:
        ModelFailedError: the protocol has no type for one.
    """
    return [_from_torch(name, tensor) for name, tensor in outputs.items()]


def _from_torch(name: str, tensor: torch.Tensor | Array) -> Tensor:
    if isinstance(tensor, np.ndarray):
        return Tensor(name, "BYTES", tensor)
    datatype = DATATYPES.get(tensor.dtype)
    if datatype is None:
        raise ModelFailedError(
            f"output {name!r} is of type {tensor.dtype}, for which the protocol has none"
        )
    if tensor.requires_grad:
        tensor = tensor.detach()
    if datatype == "BF16":
        tensor = tensor.contiguous().view(torch.uint16)
    return Tensor(name, datatype, tensor.numpy())

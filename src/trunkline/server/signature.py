"""What a model takes and returns, as the protocol describes it and as its forward wants it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trunkline.errors import InputError
from trunkline.server.batching import copy_of
from trunkline.server.conversion import DATATYPES
from trunkline.server.work import TensorInfo
from trunkline.store import StoredModel

OUTPUT = "output"
"""The name of an output that has none, and the stem of several (`output_0`)."""

INPUT = "input"
"""The name of the one declared input of a model whose forward takes it by position."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a model's forward is called.

    Attributes:
        model: for messages.
        parameters: names that its forward takes.
        open: whether it takes any others, too.
        required: those of the names that it cannot do without.
        inputs: what is declared of its input, with its name.
        bound: exclusive upper bound of a declared input of whole numbers.
    """

    model: str
    parameters: tuple[str, ...]
    open: bool
    required: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    bound: int | None = None

    def arguments(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor | dict[str, Any]:
        """What `Runtime.infer` is given: keyword arguments, or one tensor of any name where the
        forward knows no such name."""
        if self._positional(inputs):
            return next(iter(inputs.values()))
        return dict(inputs)

    def check(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Refuse inputs that cannot fit (InputError)."""
        if not inputs:
            raise InputError(f"model {self.model!r}: no inputs")
        positional = self._positional(inputs)
        if not positional:
            unknown = [name for name in inputs if name not in self.parameters and not self.open]
            if unknown:
                raise InputError(
                    f"model {self.model!r} has no input {unknown[0]!r}; it takes "
                    f"{', '.join(map(repr, self.parameters))}"
                )
            missing = [name for name in self.required if name not in inputs]
            if missing:
                raise InputError(f"model {self.model!r}: the input {missing[0]!r} is missing")
        for info in self.inputs:
            given = inputs.get(info.name)
            if given is None and positional:
                given = next(iter(inputs.values()))
            if given is not None:
                self._check_declared(info, given)

    def _positional(self, inputs: Mapping[str, torch.Tensor]) -> bool:
        return len(inputs) == 1 and next(iter(inputs)) not in self.parameters

    def _check_declared(self, info: TensorInfo, given: torch.Tensor) -> None:
        datatype, shape = DATATYPES.get(given.dtype), tuple(given.shape)
        fits = len(shape) == len(info.shape)
        for wanted, size in zip(info.shape, shape, strict=False):
            fits = fits and wanted in (-1, size)
        if fits and datatype == info.datatype and self.bound is None:
            return
        where = f"model {self.model!r}, input {info.name!r}"
        if datatype != info.datatype:
            raise InputError(f"{where}: {info.datatype} is expected, got {datatype}")
        if not fits:
            raise InputError(f"{where}: shape {list(info.shape)} is expected, got {list(shape)}")
        if self.bound is not None and given.numel():
            least, most = int(given.min()), int(given.max())
            if least < 0 or most >= self.bound:
                wrong = least if least < 0 else most
                raise InputError(f"{where}: {wrong} is not in 0 to {self.bound - 1}")


def signature_of(stored: StoredModel, module: torch.nn.Module) -> Signature:
    """Read the signature of a model's forward."""
    kinds = inspect.Parameter
    found = inspect.signature(module.forward).parameters.values()
    named = [one for one in found if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    names = tuple(one.name for one in named)
    required = tuple(one.name for one in named if one.default is kinds.empty)
    any_other = any(one.kind is kinds.VAR_KEYWORD for one in found)
    if stored.input is None:
        return Signature(stored.name, names, any_other, required, ())
    main = getattr(module, "main_input_name", None)
    name = main if isinstance(main, str) and main in names else names[0] if names else INPUT
    dtype: torch.dtype = getattr(torch, stored.input.dtype)
    # Whole numbers are sequences of tokens, as long as the client likes.
    sizes = stored.input.shape if dtype.is_floating_point else [-1] * len(stored.input.shape)
    info = TensorInfo(name, DATATYPES.get(dtype, "FP32"), (-1, *sizes))
    return Signature(stored.name, names, any_other, required, (info,), stored.input.high)


def named_outputs(result: Any) -> dict[str, torch.Tensor]:
    """Copies in host memory of the tensors in what a forward returned, by name: keys of mappings,
    and positions in sequences, joined by dots (`hidden_states.0`). What is no tensor is left out.
    """
    # Copies on the CPU, too: a forward may return a buffer of its own, and the next one fill it.
    found = {name: copy_of(one) for name, one in _tensors("", result)}
    if set(found) == {""}:
        return {OUTPUT: found[""]}
    return {
        (name if not name[:1].isdigit() else f"{OUTPUT}_{name}"): tensor
        for name, tensor in found.items()
    }


def _tensors(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value.detach() if value.requires_grad else value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _tensors(f"{name}.{key}" if name else str(key), one)
    elif isinstance(value, (list, tuple)):
        for place, one in enumerate(value):
            yield from _tensors(f"{name}.{place}" if name else str(place), one)


def described(outputs: Mapping[str, torch.Tensor]) -> tuple[TensorInfo, ...]:
    """Outputs as metadata: any batch size, and the other sizes as they were."""
    return tuple(
        TensorInfo(name, DATATYPES.get(one.dtype, "FP32"), (-1, *one.shape[1:]))
        for name, one in outputs.items()
    )

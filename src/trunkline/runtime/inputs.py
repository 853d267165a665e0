"""What a batch computes on: tensors from a file, or generated from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from trunkline.errors import InputError, WeightsFormatError
from trunkline.runtime.dtypes import kind
from trunkline.store import InputSpec


def input_dtype(spec: InputSpec) -> torch.dtype:
    """PyTorch's type of an input."""
    found: torch.dtype = getattr(torch, spec.dtype)
    return found


def generated(spec: InputSpec, seed: int, name: str = "") -> torch.Tensor:
    """One task's input, shape `spec.shape`: standard normal, or whole numbers below `spec.high`
    (2 where none is given). The same seed and name give the same values.
    """
    mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)
    generator = torch.Generator().manual_seed(int(mixed[0]))
    dtype = input_dtype(spec)
    if kind(dtype) in ("int", "bool"):
        drawn = torch.randint(0, spec.high or 2, spec.shape, generator=generator)
        return drawn.to(dtype)
    return torch.randn(spec.shape, generator=generator).to(dtype)


def read_inputs(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, one a task, by task id.

    Raises:
        InputError: it cannot be read, or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from trunkline.store.reading import refuse_pickle

    try:
        refuse_pickle(path)
        return dict(load_file(path))
    except (OSError, SafetensorError, WeightsFormatError) as error:
        raise InputError(f"inputs {path}: {error}") from None


def check_input(tensor: torch.Tensor, spec: InputSpec | None, task: str, model: str) -> None:
    """Refuse an input that its model does not take.

    Raises:
        InputError: naming the task, what came and what is needed.
    """
    if spec is None:
        return
    if tuple(tensor.shape) != spec.shape or tensor.dtype != input_dtype(spec):
        raise InputError(
            f"input of task {task!r} is {tensor.dtype} of shape {list(tensor.shape)}, model "
            f"{model!r} takes {input_dtype(spec)} of shape {list(spec.shape)}"
        )
    if spec.high is not None and tensor.numel():
        low, high = int(tensor.min()), int(tensor.max())
        if low < 0 or high >= spec.high:
            raise InputError(
                f"input of task {task!r} has values from {low} to {high}, model {model!r} takes "
                f"0 to {spec.high - 1}"
            )


def gather(
    given: Mapping[str, torch.Tensor] | None,
    wanted: Iterable[tuple[str, str, InputSpec | None]],
    seed: int,
) -> dict[str, torch.Tensor]:
    """One input for each (task, model, what the model takes): given ones checked, else generated.

    Raises:
        InputError: an input is missing, does not fit, or cannot be generated.
    """
    found = {}
    for task, model, spec in wanted:
        if given is None:
            if spec is None:
                raise InputError(
                    f"no input can be generated for task {task!r}: model {model!r} was imported "
                    "without one; import it with --input, or give --inputs"
                )
            found[task] = generated(spec, seed, task)
        else:
            if task not in given:
                raise InputError(f"the inputs have no tensor for task {task!r}")
            check_input(given[task], spec, task, model)
            found[task] = given[task]
    return found

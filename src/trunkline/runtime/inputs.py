"""What batches compute on: tensors from a file, or generated from a seed; and how that may fail."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trunkline.errors import InputError, TrunklineError, WeightsFormatError
from trunkline.files import replacing
from trunkline.runtime.dtypes import kind
from trunkline.store import InputSpec
from trunkline.store.building import UNEXPECTED
from trunkline.units import shorten

if TYPE_CHECKING:
    from trunkline.runtime.runtime import Runtime


def input_dtype(spec: InputSpec) -> torch.dtype:
    """PyTorch's type of an input."""
    found: torch.dtype = getattr(torch, spec.dtype)
    return found


def generated(spec: InputSpec, seed: int, name: str = "") -> torch.Tensor:
    """One task's input, shape `spec.shape`: standard normal, or whole numbers below `spec.high`
    (2 where none is given). The same seed and name give the same values.

    Raises:
        InputError: no such tensor can be made, for its size or its bound.
    """
    try:
        return _generated(spec, seed, name)
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"an input {spec.shape} {spec.dtype} cannot be generated: {reason(error)}"
        ) from None


def _generated(spec: InputSpec, seed: int, name: str) -> torch.Tensor:
    mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)
    generator = torch.Generator().manual_seed(int(mixed[0]))
    dtype = input_dtype(spec)
    if kind(dtype) in ("int", "bool"):
        drawn = torch.randint(0, spec.high or 2, spec.shape, generator=generator)
        return drawn.to(dtype)
    return torch.randn(spec.shape, generator=generator).to(dtype)


def highest(spec: InputSpec) -> torch.Tensor:
    """An input of the greatest values that `spec` allows, `high - 1`: it finds a bound beyond a
    vocabulary where random values may not (InputError if it cannot be made)."""
    try:
        return torch.full(spec.shape, (spec.high or 2) - 1, dtype=input_dtype(spec))
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"an input {spec.shape} {spec.dtype} of {spec.high} cannot be made: {reason(error)}"
        ) from None


def read_inputs(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, one a task, by task id.

    Raises:
        InputError: it cannot be read, or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from trunkline.store.reading import refuse_pickle

    if path.is_dir():
        raise InputError(f"inputs {path}: a folder; name a safetensors file")
    try:
        refuse_pickle(path)
        return dict(load_file(path))
    except WeightsFormatError as error:  # names the path
        raise InputError(f"inputs {error}") from None
    except OSError as error:
        raise InputError(f"inputs {path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(f"inputs {path}: no safetensors file: {error}") from None


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as a safetensors file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, None if metadata is None else dict(metadata))
        except SafetensorError as error:
            raise InputError(f"{path}: cannot be written: {error}") from None


def infer(runtime: Runtime, name: str, batch: torch.Tensor) -> Any:
    """What a resident model computes on a batch, waited for.

    Raises:
        InputError: the model does not run on such a batch; it names the model and the shape.
    """
    try:
        result = runtime.infer(name, batch)
        runtime.synchronize()
    except TrunklineError:
        raise
    except UNEXPECTED as error:  # a forward may raise anything
        raise InputError(
            f"model {name!r} does not run on a batch of shape {list(batch.shape)} "
            f"{str(batch.dtype).removeprefix('torch.')}: {reason(error)}"
        ) from error
    return result


def reason(error: BaseException) -> str:
    """The kind of an error and the first line of what it says, for a message of one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(lines[0], 200)}" if lines else type(error).__name__


def check_input(tensor: torch.Tensor, spec: InputSpec | None, task: str, model: str) -> None:
    """Refuse an input that its model does not take.

    Raises:
        InputError: naming the task, what came and what is needed.
    """
    if spec is None:
        return
    if tuple(tensor.shape) != spec.shape or tensor.dtype != input_dtype(spec):
        raise InputError(
            f"input of task {shorten(task)!r} is {tensor.dtype} of shape {list(tensor.shape)}, "
            f"model {model!r} takes {input_dtype(spec)} of shape {list(spec.shape)}"
        )
    if spec.high is not None and tensor.numel():
        low, high = int(tensor.min()), int(tensor.max())
        if low < 0 or high >= spec.high:
            raise InputError(
                f"input of task {shorten(task)!r} has values from {low} to {high}, model "
                f"{model!r} takes 0 to {spec.high - 1}"
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
                    f"no input can be generated for task {shorten(task)!r}: model {model!r} was "
                    "imported without one; import it with --input, or give --inputs"
                )
            found[task] = generated(spec, seed, task)
        else:
            if task not in given:
                raise InputError(f"the inputs have no tensor for task {shorten(task)!r}")
            check_input(given[task], spec, task, model)
            found[task] = given[task]
    return found

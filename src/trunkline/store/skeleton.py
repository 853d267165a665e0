"""Models without weights: built on PyTorch's meta device to learn names, shapes and order.

Torch is imported when one of these functions is called, never with the store.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trunkline.errors import ArchitectureError
from trunkline.store.architecture import InputSpec, check_factory_name
from trunkline.store.dtypes import from_torch_name

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Skeleton:
    """What a model's `state_dict()` holds, without the values.

    Attributes:
        tensors: name -> (safetensors type, shape), in the order the architecture defines.
        groups: tuples of names that are one tensor (tied weights, modules used twice).
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    groups: tuple[tuple[str, ...], ...]


def load_callable(factory: str) -> Callable[..., Any]:
    """The callable that `package.module:callable` names, the current directory importable.

    Raises:
        InputError: another form.
        ArchitectureError: it cannot be imported, or is no callable.
    """
    check_factory_name(factory)
    module_name, _, attributes = factory.partition(":")
    with _current_directory():
        try:
            found: Any = importlib.import_module(module_name)
            for attribute in attributes.split("."):
                found = getattr(found, attribute)
        except Exception as error:  # a module may raise anything while it is imported
            raise ArchitectureError(
                f"factory {factory!r} cannot be imported: {type(error).__name__}: {error}"
            ) from error
    if not callable(found):
        raise ArchitectureError(f"factory {factory!r} is no callable but {type(found).__name__}")
    return found  # type: ignore[no-any-return]  # callable() narrows Any to object only


def build(factory: str, kwargs: Mapping[str, Any]) -> torch.nn.Module:
    """The module of a factory, on the meta device so that no weights are made.

    A constructor that needs data (`tensor.item()` of its own tensors, say) is called again for
    real.

    Raises:
        InputError, ArchitectureError: it cannot be imported or called, or returns no module.
    """
    pytorch = import_torch()
    function = load_callable(factory)
    call = f"{factory}({', '.join(f'{key}={value!r}' for key, value in kwargs.items())})"
    with _current_directory(), pytorch.random.fork_rng(devices=[]):
        try:
            with pytorch.device("meta"):
                module = function(**kwargs)
        except Exception:  # a constructor may raise anything on tensors without data
            try:
                with pytorch.device("cpu"):
                    module = function(**kwargs)
            except Exception as error:
                raise ArchitectureError(
                    f"{call} failed: {type(error).__name__}: {error}"
                ) from error
    if not isinstance(module, pytorch.nn.Module):
        raise ArchitectureError(f"{call} returned no torch module but {type(module).__name__}")
    return cast("torch.nn.Module", module)


def examine(module: torch.nn.Module, what: str) -> Skeleton:
    """Names, types, shapes and ties of a module's state.

    Raises:
        ArchitectureError: part of its state is no tensor, or of a type a store cannot hold.
    """
    torch = import_torch()
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    groups: dict[int, list[str]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):
            raise ArchitectureError(
                f"{what}: {name!r} of its state is no tensor but {type(value).__name__}"
            )
        dtype = from_torch_name(str(value.dtype))
        if dtype is None:
            raise ArchitectureError(
                f"{what}: {name!r} has the type {value.dtype}, which safetensors cannot hold"
            )
        tensors[name] = (dtype, tuple(value.shape))
        groups.setdefault(id(value), []).append(name)
    return Skeleton(tensors, tuple(tuple(names) for names in groups.values() if len(names) > 1))


def forward_order(module: torch.nn.Module, given: InputSpec) -> list[str]:
    """Names of the module's state in the order in which one forward pass reaches their modules.

    On the meta device nothing is computed. Modules that the pass does not reach come last, in the
    order of definition.

    Raises:
        ArchitectureError: the module cannot be run so.
    """
    torch = import_torch()
    reached: dict[str, None] = {}
    hooks = []
    for path, part in module.named_modules():
        own = [*part._parameters, *part._buffers]
        prefix = f"{path}." if path else ""
        names = [prefix + name for name in own]

        def note(*_: Any, names: list[str] = names) -> None:
            reached.update(dict.fromkeys(names))

        hooks.append(part.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            dtype = getattr(torch, given.dtype)
            device = next((one.device for one in module.parameters()), "meta")
            module.eval()(torch.zeros((1, *given.shape), dtype=dtype, device=device))
    except Exception as error:  # a forward may raise anything
        raise ArchitectureError(f"{type(error).__name__}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    state = list(module.state_dict(keep_vars=True))
    place = {name: i for i, name in enumerate(reached)}
    return sorted(state, key=lambda name: place.get(name, len(place)))


def import_torch() -> Any:
    """PyTorch (ArchitectureError if it is not installed)."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ArchitectureError(
            f"an architecture needs PyTorch, which cannot be imported: {error}"
        ) from None


def check_kwargs(kwargs: Mapping[str, Any], factory: str) -> dict[str, Any]:
    """The keyword arguments as JSON gives them back (ArchitectureError if it cannot)."""
    try:
        plain = json.loads(json.dumps(dict(kwargs), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ArchitectureError(f"arguments of {factory!r} cannot be kept: {error}") from None
    if not all(isinstance(key, str) for key in kwargs):
        raise ArchitectureError(f"arguments of {factory!r}: every name must be a text")
    return plain  # type: ignore[no-any-return]  # dict(kwargs) through JSON is a dict


@contextmanager
def _current_directory() -> Iterator[None]:
    """The current directory importable, as under `python -m`."""
    here = os.getcwd()
    added = not {"", here} & set(sys.path)
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)

"""Building modules from an architecture: on PyTorch's meta device, or for real.

Building runs code: the factory's, or that of a class of Transformers. Whoever has an architecture
from a store asks `trunkline.store.trust` first. Modules are found as under `python -m`, in the
current directory first, while they are imported and while they build.

Torch is imported when one of these functions is called, never with the store.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

from trunkline.errors import ArchitectureError, TrunklineError
from trunkline.store.architecture import Architecture, check_factory_name
from trunkline.units import shorten

if TYPE_CHECKING:
    from torch import nn

UNEXPECTED: Final = (Exception, SystemExit)
"""What code that is not ours may raise; only an interrupt passes through."""


def build_skeleton(architecture: Architecture) -> nn.Module:
    """The module on the meta device, where tensors have no data; where its constructor needs data
    (`tensor.item()` of its own tensors, say), built for real.

    Raises:
        ArchitectureError: the architecture cannot be found or built.
    """
    return _build(lambda: _maker(architecture), architecture.label, "meta", "cpu")


def build_with(make: Callable[[], Any], label: str) -> nn.Module:
    """What `make` makes on the meta device (ArchitectureError naming `label` if it fails)."""
    return _build(lambda: make, label, "meta")


def build_real(architecture: Architecture) -> nn.Module:
    """The module with the values that its constructor gives it, on the CPU.

    The random numbers of the caller's process stay as they were.

    Raises:
        ArchitectureError: the architecture cannot be found or built.
    """
    return _build(lambda: _maker(architecture), architecture.label, "cpu")


def load_callable(factory: str) -> Callable[..., Any]:
    """The callable that `package.module:callable` names.

    Raises:
        InputError: another form.
        ArchitectureError: it cannot be imported, is neither a class of modules nor a function, or
            comes from Python's standard library, which builds no modules.
    """
    check_factory_name(factory)
    module_name, _, attributes = factory.partition(":")
    with current_directory_first():
        try:
            found: Any = importlib.import_module(module_name)
            for attribute in attributes.split("."):
                found = getattr(found, attribute)
        except UNEXPECTED as error:  # a module may raise anything while it is imported
            raise ArchitectureError(
                f"factory {shorten(factory)!r} cannot be imported: {told(error)}"
                f"{_where_looked(error, module_name)}"
            ) from error
    _check_builder(found, factory)
    return cast("Callable[..., Any]", found)


@contextmanager
def current_directory_first() -> Iterator[None]:
    """The current directory importable before all others, as under `python -m`."""
    here = _here()
    added = bool(here) and not {"", here} & set(sys.path)
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added:
            with suppress(ValueError):
                sys.path.remove(here)


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
    except (TypeError, ValueError, RecursionError) as error:
        raise ArchitectureError(f"arguments of {factory!r} cannot be kept: {error}") from None
    if not all(isinstance(key, str) for key in kwargs):
        raise ArchitectureError(f"arguments of {factory!r}: every name must be a text")
    return plain  # type: ignore[no-any-return]  # dict(kwargs) through JSON is a dict


def told(error: BaseException) -> str:
    """An error of code that is not ours, in a message of one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {shorten(text, 300)}" if text else type(error).__name__


def _build(find: Callable[[], Callable[[], Any]], label: str, *devices: str) -> nn.Module:
    """What the maker that `find` finds makes on the first of the devices on which that succeeds."""
    torch, failure = import_torch(), None
    for device in devices:
        try:
            make = find()
            with (
                current_directory_first(),
                torch.random.fork_rng(devices=[]),
                torch.device(device),
                _nothing_drawn_for_meta(),
            ):
                module = make()
        except TrunklineError:
            raise
        except UNEXPECTED as error:
            failure = error
            continue
        if not isinstance(module, torch.nn.Module):
            raise ArchitectureError(
                f"{label} returned {type(module).__name__} and not a torch.nn.Module"
            )
        return cast("nn.Module", module)
    assert failure is not None
    raise ArchitectureError(f"{label} cannot be built: {told(failure)}") from failure


def _nothing_drawn_for_meta() -> AbstractContextManager[Any]:
    """While this lasts, tensors without data get no normal values: PyTorch would import its whole
    compiler (`torch._dynamo`, seconds) to draw none."""
    torch = import_torch()
    from torch.overrides import TorchFunctionMode

    drawing = (torch.Tensor.normal_, torch.nn.init.normal_)

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function in drawing:
                tensor = args[0] if args else kwargs["tensor"]
                if tensor.is_meta:
                    return tensor
            return function(*args, **(kwargs or {}))

    return Mode()


def _maker(architecture: Architecture) -> Callable[[], Any]:
    """What builds the module when it is called; all imports are done before."""
    if architecture.kind == "huggingface":
        from trunkline.store.pretrained import model_maker

        return model_maker(architecture)
    if architecture.kind == "peft":
        from trunkline.store.adapted import adapted_maker

        return adapted_maker(architecture)
    return functools.partial(load_callable(str(architecture.factory)), **architecture.kwargs)


def _check_builder(found: Any, factory: str) -> None:
    """Refuse what cannot be a builder of modules (ArchitectureError)."""
    name = shorten(factory)
    if not callable(found):
        raise ArchitectureError(f"factory {name!r} is no callable but {type(found).__name__}")
    if isinstance(found, type):
        if not issubclass(found, import_torch().nn.Module):
            raise ArchitectureError(f"factory {name!r} is a class, but none of torch.nn.Module")
    elif _origin(found).partition(".")[0] in {*sys.stdlib_module_names, "builtins"}:
        raise ArchitectureError(
            f"factory {name!r} comes from Python's standard library, which builds no modules"
        )


def _origin(function: Any) -> str:
    """The module that a callable comes from."""
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)  # of a method
    return str(getattr(function, "__module__", None) or type(function).__module__)


def _where_looked(error: BaseException, module_name: str) -> str:
    """Where modules are looked for, if the factory's own was not found."""
    missing = getattr(error, "name", None)
    if not isinstance(error, ModuleNotFoundError) or not missing:
        return ""
    if module_name != missing and not module_name.startswith(f"{missing}."):
        return ""  # something that it imports
    return f" (it is looked for in the current folder first, {_here()}, then where Python looks)"


def _here() -> str:
    """The current directory, nothing if it is gone."""
    with suppress(OSError):
        return os.getcwd()
    return ""

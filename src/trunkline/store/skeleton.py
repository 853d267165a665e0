"""What a module built without weights tells: names, types, shapes, ties, and in which order it
runs. (`trunkline.store.building` makes such modules.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.errors import ArchitectureError
from trunkline.store.architecture import InputSpec
from trunkline.store.building import UNEXPECTED, current_directory_first, import_torch, told
from trunkline.store.dtypes import from_torch_name
from trunkline.units import shorten

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Skeleton:
    """What a model's `state_dict()` holds, without the values.

    Attributes:
        tensors: name -> (safetensors type, shape), in the order the architecture defines.
        groups: tuples of names that are one tensor (tied weights, modules used twice).
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place of a module's state: the parameter or persistent buffer `key` of one of its parts.

    Attributes:
        name: its full name, as in `state_dict()`.
        tensor: what is there; places that hold one and the same object are tied.
    """

    owner: nn.Module
    key: str
    is_parameter: bool
    name: str
    tensor: Tensor


def places(module: nn.Module) -> Iterator[Place]:
    """Every place of `module.state_dict()` that holds a tensor, in its order, tied ones too."""
    for path, owner in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for key, parameter in owner._parameters.items():
            if parameter is not None:
                yield Place(owner, key, True, prefix + key, parameter)
        for key, buffer in owner._buffers.items():
            if buffer is not None and key not in owner._non_persistent_buffers_set:
                yield Place(owner, key, False, prefix + key, buffer)


def examine(module: nn.Module, what: str) -> Skeleton:
    """Names, types, shapes and ties of a module's state.

    Raises:
        ArchitectureError: part of its state is no parameter or buffer, has no shape yet, or is of
            a type a store cannot hold.
    """
    torch = import_torch()
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    groups: dict[int, list[str]] = {}
    for place in places(module):
        name = shorten(place.name)
        if isinstance(place.tensor, torch.nn.parameter.UninitializedTensorMixin):
            raise ArchitectureError(f"{what}: {name!r} has no shape until the model has run")
        dtype = from_torch_name(str(place.tensor.dtype))
        if dtype is None:
            raise ArchitectureError(
                f"{what}: {name!r} has the type {place.tensor.dtype}, which safetensors cannot hold"
            )
        tensors[place.name] = (dtype, tuple(place.tensor.shape))
        groups.setdefault(id(place.tensor), []).append(place.name)
    _check_state(module, tensors, what)
    return Skeleton(tensors, tuple(tuple(names) for names in groups.values() if len(names) > 1))


def _check_state(module: nn.Module, tensors: Mapping[str, Any], what: str) -> None:
    """Refuse a state that is not just the places (extra state, hooks that rename)."""
    try:
        state = set(module.state_dict(keep_vars=True))
    except UNEXPECTED as error:
        raise ArchitectureError(f"{what}: its state_dict() fails: {told(error)}") from error
    if odd := sorted(state ^ tensors.keys()):
        raise ArchitectureError(
            f"{what}: {shorten(odd[0])!r} of its state is no parameter or buffer of that name "
            "(extra state, or a hook that renames), so it cannot be stored"
        )


def forward_order(module: nn.Module, given: InputSpec) -> list[str]:
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
        with current_directory_first(), torch.no_grad():
            dtype = getattr(torch, given.dtype)
            device = next((one.device for one in module.parameters()), "meta")
            module.eval()(torch.zeros((1, *given.shape), dtype=dtype, device=device))
    except UNEXPECTED as error:  # a forward may raise anything
        raise ArchitectureError(told(error)) from error
    finally:
        for hook in hooks:
            hook.remove()
    rank = {name: i for i, name in enumerate(reached)}
    state = [place.name for place in places(module)]
    return sorted(state, key=lambda name: rank.get(name, len(rank)))

"""What a module built without weights tells: names, types, shapes, ties, and in which order it
runs. (`trunkline.store.building` makes such modules.)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def known_order(
    module: nn.Module, skeleton: Skeleton, given: InputSpec | None
) -> tuple[list[str], list[str]]:
    """The names of a module's state in the order of use, where an input is given on which one
    forward pass runs without weights; else in that of definition, and a note that says why."""
    if given is not None:
        try:
            return forward_order(module, given), []
        except ArchitectureError as error:
            note = (
                f"blocks stand in the order of definition: the model does not run on {given} "
                f"without weights ({error})"
            )
            return list(skeleton.tensors), [note]
    return list(skeleton.tensors), []


def forward_order(module: nn.Module, given: InputSpec) -> list[str]:
    """Names of the module's state in the order of their first use by one forward pass: when the
    module that owns them is called, or an operation is given them.

    On the meta device nothing is computed. What the pass does not use comes last, in the order of
    definition.

    Raises:
        ArchitectureError: the module cannot be run so.
    """
    torch = import_torch()
    state = list(places(module))
    tied: dict[int, list[str]] = {}
    for place in state:
        tied.setdefault(id(place.tensor), []).append(place.name)
    used: dict[str, None] = {}

    def note(tensors: Iterable[Any]) -> None:
        for one in tensors:
            used.update(dict.fromkeys(tied.get(id(one), ())))

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc, name-defined]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            note(torch.utils._pytree.tree_leaves((args, kwargs)))
            return func(*args, **(kwargs or {}))

    def called(part: nn.Module, *_: Any) -> None:
        note([*part._parameters.values(), *part._buffers.values()])

    hooks = [part.register_forward_pre_hook(called) for part in module.modules()]
    try:
        with current_directory_first(), torch.no_grad():
            dtype = getattr(torch, given.dtype)
            device = next((one.device for one in module.parameters()), "meta")
            batch = torch.zeros((1, *given.shape), dtype=dtype, device=device)
            module.eval()
            with Watching():
                module(batch)
    except UNEXPECTED as error:  # a forward may raise anything
        raise ArchitectureError(told(error)) from error
    finally:
        for hook in hooks:
            hook.remove()
    return [*used, *(place.name for place in state if place.name not in used)]

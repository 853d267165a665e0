"""The places of a module where tensors go: those that weights fill, and the rest.

A state dict has parameters and persistent buffers. A module may hold other tensors, non-persistent
buffers and plain attributes, whose values come from its constructor; on the meta device they have
none, so they are taken from one real build.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trunkline.errors import ArchitectureError
from trunkline.runtime.resident import ResidentBlock
from trunkline.store import Architecture
from trunkline.store.building import build_real

_OWN = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A place for a tensor in a skeleton: `module`'s parameter or buffer `key`.

    Attributes:
        names: its full name, and those of the places that hold the same object (tied), in the
            order in which the modules were registered.
    """

    module: nn.Module
    key: str
    is_parameter: bool
    name: str
    names: tuple[str, ...]
    tensor: Tensor

    def assign(self, block: ResidentBlock, name: str) -> None:
        """Point the slot at a resident tensor."""
        value = block.parameter(name) if self.is_parameter else block.tensors[name]
        if sets_its_own_way(self.module):
            setattr(self.module, self.key, value)
        elif isinstance(value, nn.Parameter):  # what nn.Module.__setattr__ ends in
            self.module._parameters[self.key] = value
        else:
            self.module._buffers[self.key] = value


def find_slots(module: nn.Module) -> Iterator[Slot]:
    """Every place of `module.state_dict()` that holds a tensor, tied ones included."""
    places: list[tuple[nn.Module, str, bool, str, Tensor]] = []
    for path, owner in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for key, parameter in owner._parameters.items():
            if parameter is not None:
                places.append((owner, key, True, prefix + key, parameter))
        for key, buffer in owner._buffers.items():
            if buffer is not None and key not in owner._non_persistent_buffers_set:
                places.append((owner, key, False, prefix + key, buffer))
    names: dict[int, list[str]] = {}
    for _, _, _, name, tensor in places:
        names.setdefault(id(tensor), []).append(name)
    for owner, key, is_parameter, name, tensor in places:
        yield Slot(owner, key, is_parameter, name, tuple(names[id(tensor)]), tensor)


def sets_its_own_way(module: nn.Module) -> bool:
    """Whether a module does something of its own when an attribute is set (an RNN also keeps its
    weights in a list)."""
    return type(module).__setattr__ is not nn.Module.__setattr__


def fill_unstored(
    module: nn.Module, slots: Sequence[Slot], architecture: Architecture, device: torch.device
) -> frozenset[str]:
    """Give the tensors that no state dict has their values, from one real build if need be.

    Buffers go to `device`; plain attributes stay where the constructor puts them, as in
    `module.to(device)`.

    Returns the full names of the non-persistent buffers: weights that bring such a tensor along
    are not refused for it, and the built one holds (as in Transformers).

    Raises:
        ArchitectureError: a plain attribute holds a parameter that a switch replaces elsewhere.
    """
    _refuse_hidden_uses(module, slots, architecture)
    real: dict[str, nn.Module] = {}
    if _needs_values(module):
        real = dict(build_real(architecture).named_modules(remove_duplicate=False))
    names = set()
    for path, owner in module.named_modules(remove_duplicate=False):
        for key in owner._non_persistent_buffers_set:
            names.add(f"{path}.{key}" if path else key)
            buffer = owner._buffers[key]
            if buffer is not None and buffer.is_meta:
                buffer = real[path]._buffers[key]
            owner._buffers[key] = buffer if buffer is None else buffer.to(device)
        for key, value in _attributes(owner):
            if not sets_its_own_way(owner) and any(one.is_meta for one in _tensors(value)):
                vars(owner)[key] = vars(real[path])[key]
    return frozenset(names)


def _needs_values(module: nn.Module) -> bool:
    for owner in module.modules():
        for key in owner._non_persistent_buffers_set:
            buffer = owner._buffers[key]
            if buffer is not None and buffer.is_meta:
                return True
        if not sets_its_own_way(owner):
            for _, value in _attributes(owner):
                if any(one.is_meta for one in _tensors(value)):
                    return True
    return False


def _refuse_hidden_uses(
    module: nn.Module, slots: Sequence[Slot], architecture: Architecture
) -> None:
    owned = {id(slot.tensor): slot.name for slot in slots}
    for path, owner in module.named_modules():
        if sets_its_own_way(owner):
            continue
        for key, value in _attributes(owner):
            for one in _tensors(value):
                if id(one) in owned:
                    raise ArchitectureError(
                        f"{architecture.label} keeps the parameter {owned[id(one)]!r} also in the "
                        f"plain attribute {key!r} of {path or 'its root'!r}, where a switch "
                        "would not replace it; use nn.ParameterList or read it where it is used"
                    )


def _attributes(owner: nn.Module) -> Iterator[tuple[str, object]]:
    for key, value in list(vars(owner).items()):
        if key not in _OWN:
            yield key, value


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in an attribute: itself, or in lists, tuples and dicts, however deep."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)

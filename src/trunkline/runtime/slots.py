"""The places of a module where tensors go: those that weights fill, and the rest.

A state dict has parameters and persistent buffers. A module may hold other tensors, non-persistent
buffers and plain attributes, whose values come from its constructor; on the meta device they have
none, so they are taken from one real build.

A tensor that a module also holds where no switch would replace it (an alias or a view of a
parameter) would answer with the wrong weights, so such a module is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trunkline.errors import ArchitectureError
from trunkline.runtime.resident import ResidentBlock
from trunkline.store import Architecture
from trunkline.store.building import build_real
from trunkline.store.skeleton import places

_OWN = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A place for a tensor in a skeleton: `module`'s parameter or buffer `key`.

    Attributes:
        names: its full name, and those of the places that hold the same object (tied), in the
            order in which the modules were registered.
        empty: what stands there without weights; after `vacate`, a tensor on the meta device.
    """

    module: nn.Module
    key: str
    is_parameter: bool
    name: str
    names: tuple[str, ...]
    empty: Tensor

    def assign(self, block: ResidentBlock, name: str) -> None:
        """Point the slot at a resident tensor."""
        self.hold(block.parameter(name) if self.is_parameter else block.tensors[name])

    def holds(self, block: ResidentBlock, name: str) -> bool:
        """Whether it still holds the resident tensor that was assigned: a forward may put another
        in its place."""
        held = self.module._parameters if self.is_parameter else self.module._buffers
        return block.is_whole(name, held.get(self.key), self.is_parameter)

    def release(self) -> None:
        """Point the slot at nothing, so that it keeps no memory of a block."""
        self.hold(self.empty)

    def hold(self, value: Tensor) -> None:
        """Put a tensor (a parameter, where the slot is one's) into the slot."""
        if sets_its_own_way(self.module):
            setattr(self.module, self.key, value)
        elif isinstance(value, nn.Parameter):  # what nn.Module.__setattr__ ends in
            self.module._parameters[self.key] = value
        else:
            self.module._buffers[self.key] = value


def find_slots(module: nn.Module) -> Iterator[Slot]:
    """Every place of `module.state_dict()` that holds a tensor, tied ones included."""
    found = list(places(module))
    names: dict[int, list[str]] = {}
    for place in found:
        names.setdefault(id(place.tensor), []).append(place.name)
    for place in found:
        tied = tuple(names[id(place.tensor)])
        yield Slot(place.owner, place.key, place.is_parameter, place.name, tied, place.tensor)


def sets_its_own_way(module: nn.Module) -> bool:
    """Whether a module does something of its own when an attribute is set (an RNN also keeps its
    weights in a list)."""
    return type(module).__setattr__ is not nn.Module.__setattr__


def vacate(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """The same slots, holding tensors without memory.

    Where a constructor made real tensors, those are spoiled (not a number, and then empty): what
    reads one by a way that no switch knows fails, instead of answering with made-up weights.
    """
    empty: dict[int, Tensor] = {}
    vacant = []
    for slot in slots:
        was = slot.empty
        if not was.is_meta:
            if id(was) not in empty:
                empty[id(was)] = _on_meta(was)
            slot = replace(slot, empty=empty[id(was)])
            slot.release()
        vacant.append(slot)
    for slot in slots:
        if not slot.empty.is_meta:
            _spoil(slot.empty)
    return tuple(vacant)


def _on_meta(tensor: Tensor) -> Tensor:
    bare = torch.empty_like(tensor, device="meta", requires_grad=False)
    return nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare


def _spoil(tensor: Tensor) -> None:
    data = tensor.data
    if data.is_floating_point() or data.is_complex():
        data.fill_(float("nan"))
    elif data.dtype != torch.bool:
        data.fill_(torch.iinfo(data.dtype).min)
    tensor.data = torch.empty(0, dtype=data.dtype)


def fill_unstored(
    module: nn.Module, slots: Sequence[Slot], architecture: Architecture, device: torch.device
) -> frozenset[str]:
    """Give the tensors that no state dict has their values, from one real build if need be.

    Buffers go to `device`; plain attributes stay where the constructor puts them, as in
    `module.to(device)`.

    Returns the full names of the non-persistent buffers: weights that bring such a tensor along
    are not refused for it, and the built one holds (as in Transformers).

    Raises:
        ArchitectureError: a buffer or a plain attribute holds a parameter, or a view of one, or a
            module that is not registered: a switch would not replace it there.
    """
    _refuse_hidden_uses(module, slots, architecture)
    real = _RealParts(architecture)
    names = set()
    for path, owner in module.named_modules(remove_duplicate=False):
        for key in owner._non_persistent_buffers_set:
            names.add(f"{path}.{key}" if path else key)
            buffer = owner._buffers[key]
            if buffer is not None and buffer.is_meta:
                buffer = real.at(path)._buffers[key]
            owner._buffers[key] = buffer if buffer is None else buffer.to(device)
        if sets_its_own_way(owner):
            continue
        for key, value in _attributes(owner):
            if any(one.is_meta for one in _tensors(value)):
                vars(owner)[key] = _filled(value, vars(real.at(path))[key])
    return frozenset(names)


class _RealParts:
    """The parts of a real build by path; built when one is first asked for."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._parts: dict[str, nn.Module] = {}

    def at(self, path: str) -> nn.Module:
        """The module at a path."""
        if not self._parts:
            built = build_real(self._architecture)
            self._parts = dict(built.named_modules(remove_duplicate=False))
        return self._parts[path]


def _filled(value: object, real: object) -> object:
    """`value` with its tensors on the meta device replaced by those in the same places of `real`;
    everything else in it stays."""
    if isinstance(value, Tensor):
        return real if value.is_meta else value
    if isinstance(value, dict) and isinstance(real, dict):
        for key, one in value.items():
            value[key] = _filled(one, real[key])
    elif isinstance(value, list) and isinstance(real, list):
        value[:] = [_filled(one, other) for one, other in zip(value, real, strict=True)]
    elif isinstance(value, tuple) and isinstance(real, tuple):
        parts = [_filled(one, other) for one, other in zip(value, real, strict=True)]
        make: Callable[..., object] = getattr(type(value), "_make", type(value))  # a named tuple
        return make(parts)
    return value


def _refuse_hidden_uses(
    module: nn.Module, slots: Sequence[Slot], architecture: Architecture
) -> None:
    owned = {_storage(slot.empty): slot.name for slot in slots}
    registered = set(module.modules())
    for path, owner in module.named_modules():
        place = f"of {path!r}" if path else "of its root"
        for key in owner._non_persistent_buffers_set:
            buffer = owner._buffers[key]
            if buffer is not None and _storage(buffer) in owned:
                raise _hidden(architecture, owned[_storage(buffer)], f"buffer {key!r} {place}")
        if sets_its_own_way(owner):
            continue
        for key, value in _attributes(owner):
            for one in _leaves(value):
                if isinstance(one, Tensor) and _storage(one) in owned:
                    where = f"plain attribute {key!r} {place}"
                    raise _hidden(architecture, owned[_storage(one)], where)
                if isinstance(one, nn.Module) and one not in registered and _on_its_own(one):
                    raise ArchitectureError(
                        f"{architecture.label} keeps a module in the plain attribute {key!r} "
                        f"{place}, where PyTorch does not register it: no state dict has its "
                        "weights; use nn.ModuleList or nn.ModuleDict"
                    )


def _hidden(architecture: Architecture, name: str, where: str) -> ArchitectureError:
    return ArchitectureError(
        f"{architecture.label} keeps the parameter {name!r} (or a view of it) also in the {where}, "
        "where a switch would not replace it; use nn.ParameterList or read it where it is used"
    )


def _on_its_own(module: nn.Module) -> bool:
    """Whether a module has tensors at all."""
    return any(True for _ in module.parameters()) or any(True for _ in module.buffers())


def _storage(tensor: Tensor) -> int:
    """What a tensor has in common with its views, on any device."""
    return int(tensor.untyped_storage()._cdata)


def _attributes(owner: nn.Module) -> Iterator[tuple[str, object]]:
    for key, value in list(vars(owner).items()):
        if key not in _OWN:
            yield key, value


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in an attribute: itself, or in lists, tuples and dicts, however deep."""
    return (one for one in _leaves(value) if isinstance(one, Tensor))


def _leaves(value: object, above: frozenset[int] = frozenset()) -> Iterator[object]:
    if isinstance(value, (dict, list, tuple)):
        if id(value) not in above:  # not again inside itself
            for one in value.values() if isinstance(value, dict) else value:
                yield from _leaves(one, above | {id(value)})
    else:
        yield value

"""Several LoRA adapters of one base in one batch: each sample by its own adapter.

PEFT computes a mixed batch with the base's layers once for all samples and each adapter's matrices
for its own samples (`adapter_names`). A module is built with several *seats*, adapters without
weights; whose adapter sits where changes by pointing the seat's places at resident tensors.

Experimental: nothing in the runtime or the server calls this yet.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import torch
from torch import nn

from trunkline.errors import ArchitectureError, InputError
from trunkline.runtime.runtime import Runtime
from trunkline.runtime.skeleton import Skeleton
from trunkline.runtime.slots import Slot, fill_unstored, find_slots, vacate
from trunkline.store import Architecture
from trunkline.store.adapted import ADAPTER, adapted_maker
from trunkline.store.building import build_with

_SEAT: Final = re.compile(r"(?<=\.)(lora_\w+|modules_to_save)\.seat(\d+)(?=\.|$)")


class MixedAdapters:
    """Adapters of one architecture (one base, equal settings), several of them in one batch.

    What a batch must meet: all its models have this architecture; not more of them than seats, and
    all resident at once within the runtime's budget; modules saved whole are single layers (PEFT
    mixes linear, embedding and convolution layers, and no larger module).

    The caller sees to it that nothing is evicted while a batch computes. Tensors returned are not
    copied, so they must not be views of weights.

    Args:
        runtime: where the blocks are.
        architecture: of kind `peft`.
        seats: the most adapters in one batch.

    Raises:
        ArchitectureError: another kind of architecture, or one that cannot be built.
    """

    def __init__(self, runtime: Runtime, architecture: Architecture, seats: int = 8) -> None:
        if architecture.kind != "peft":
            raise ArchitectureError(f"{architecture.label} has no adapter, so none can be mixed")
        if seats < 1:
            raise InputError(f"{seats} seats: at least one is needed")
        self.architecture = architecture
        self.seats = seats
        self._runtime = runtime
        self._alone = Skeleton(architecture, runtime.device)  # tells what feeds what
        self.module = _seated(architecture, seats)
        slots = tuple(find_slots(self.module))
        fill_unstored(self.module, slots, architecture, runtime.device)
        self._slots = [(_seat_of(slot), _place(slot), slot) for slot in vacate(slots)]
        self._sitting: OrderedDict[str, int] = OrderedDict()  # by last use
        self._feeds: dict[str, Mapping[str, str]] = {}
        self._held: dict[int, torch.Tensor] = {}
        self.module.eval()
        self.module.requires_grad_(False)

    def infer(self, names: Sequence[str], batch: Mapping[str, torch.Tensor]) -> Any:
        """Run a batch whose sample i is for the model `names[i]`, after loading what is missing.

        Raises:
            InputError: more models than seats, or one of another architecture.
            MemoryBudgetError, StoreError: as in `Runtime.switch`.
        """
        distinct = list(dict.fromkeys(names))
        if not 0 < len(distinct) <= self.seats:
            raise InputError(f"{len(distinct)} adapters in one batch; there are {self.seats} seats")
        for name in distinct:
            self._check(name)
        for name in distinct:
            self._runtime.switch(name, keep=distinct)
        self._take_seats(distinct)
        self._point(distinct)
        chosen = [_name(self._sitting[name]) for name in names]
        here = {key: value.to(self._runtime.device) for key, value in batch.items()}
        with torch.inference_mode():
            return self.module(**here, adapter_names=chosen)

    def _check(self, name: str) -> None:
        if name not in self._feeds:
            model = self._runtime.stored(name)
            if model.architecture is None or model.architecture.key != self.architecture.key:
                raise InputError(f"model {name!r} is not {self.architecture.label}: not mixed")
            binding = self._alone.bind(model)
            places = [slot.name for slot in self._alone.slots]
            self._feeds[name] = {places[at]: tensor for at, _, tensor in binding.feeds}

    def _take_seats(self, names: Sequence[str]) -> None:
        """A seat for each, those kept that sit already; who was used longest ago gives way."""
        for name in names:
            if name in self._sitting:
                self._sitting.move_to_end(name)
        for name in names:
            if name not in self._sitting:
                free = set(range(self.seats)) - set(self._sitting.values())
                seat = min(free) if free else self._sitting.popitem(last=False)[1]
                self._sitting[name] = seat

    def _point(self, names: Sequence[str]) -> None:
        """Point all places of the base and of these models' seats at resident tensors."""
        tensors = {self._sitting[name]: self._runtime.tensors(name) for name in names}
        feeds = {self._sitting[name]: self._feeds[name] for name in names}
        anyone = self._sitting[names[0]]
        for at, (seat, place, slot) in enumerate(self._slots):
            whose = anyone if seat is None else seat
            if whose not in tensors:
                continue
            tensor = tensors[whose][feeds[whose][place]]
            if self._held.get(at) is not tensor:
                slot.hold(nn.Parameter(tensor, False) if slot.is_parameter else tensor)
                self._held[at] = tensor


def _seated(architecture: Architecture, seats: int) -> nn.Module:
    make = adapted_maker(architecture)

    def build() -> Any:
        module = make()
        for seat in range(1, seats):
            module.add_adapter(_name(seat), deepcopy(module.peft_config[ADAPTER]))
        return module

    return build_with(build, f"{architecture.label} with {seats} seats")


def _name(seat: int) -> str:
    return f"seat{seat}" if seat else ADAPTER


def _seat_of(slot: Slot) -> int | None:
    """Whose place it is: a seat's, or None for the base's."""
    if match := _SEAT.search(slot.name):
        return int(match[2])
    return 0 if re.search(rf"\.(lora_\w+|modules_to_save)\.{ADAPTER}(\.|$)", slot.name) else None


def _place(slot: Slot) -> str:
    """The name of the place in a module with one adapter."""
    return _SEAT.sub(rf"\1.{ADAPTER}", slot.name)

"""Several LoRA adapters of one base in one batch: each sample by its own adapter.

PEFT computes a mixed batch with the base's layers once for all samples and each adapter's matrices
for its own samples (`adapter_names`). A module is built with several *seats*, adapters without
weights; whose adapter sits where changes by pointing the seat's places at resident tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import torch

from trunkline.errors import ArchitectureError, InputError
from trunkline.runtime.known import Known
from trunkline.runtime.resident import Residents
from trunkline.runtime.skeleton import Binding, Holding
from trunkline.runtime.slots import fill_unstored, find_slots, vacate
from trunkline.store import Architecture
from trunkline.store.adapted import ADAPTER, adapted_maker
from trunkline.store.building import build_with

SEATS: Final = 8
"""The most adapters in one batch."""

_OWN: Final = re.compile(r"\.(lora_\w+|modules_to_save)\.(seat(\d+)|default)(?=\.|$)")

Feeds = Mapping[str, tuple[str, str]]
"""Place in a module with one adapter -> digest and name of the tensor that fills it."""


class Seats(Holding):
    """One module of an architecture with room for several adapters of one base.

    Args:
        architecture: of kind `peft`.
        seats: the most adapters in one batch.

    Raises:
        ArchitectureError: another kind of architecture, or one that cannot be built.
    """

    def __init__(
        self, architecture: Architecture, device: torch.device, seats: int = SEATS
    ) -> None:
        if architecture.kind != "peft":
            raise ArchitectureError(f"{architecture.label} has no adapter, so none can be mixed")
        if seats < 1:
            raise InputError(f"{seats} seats: at least one is needed")
        self.architecture = architecture
        self.seats = seats
        self.module = _seated(architecture, seats)
        slots = tuple(find_slots(self.module))
        fill_unstored(self.module, slots, architecture, device)
        super().__init__(vacate(slots))
        self._places: dict[int | None, list[tuple[int, str]]] = {None: []}  # by whose they are
        for position, slot in enumerate(self.slots):
            whose, place = _place(slot.name)
            self._places.setdefault(whose, []).append((position, place))
        self._sitting: OrderedDict[str, int] = OrderedDict()  # by last use
        self.module.eval()
        self.module.requires_grad_(False)
        self._hooks = {key for one in self.module.modules() for key in one._forward_pre_hooks}

    def place(self, models: Sequence[Known], residents: Residents) -> dict[str, str]:
        """Point the base's places, and a seat for each model, at resident tensors.

        Args:
            models: different ones of this architecture and of one base (`base_of`), all resident.

        Returns:
            What PEFT calls each model's adapter.

        Raises:
            InputError: more models than seats, or none.
        """
        if not 0 < len(models) <= self.seats:
            raise InputError(f"{len(models)} adapters in one batch; there are {self.seats} seats")
        self._take_seats([one.model.name for one in models])
        for at, one in enumerate(models):
            feeds, seat = feeds_of(one), self._sitting[one.model.name]
            places = self._places[seat] + (self._places[None] if at == 0 else [])
            pointed = tuple((position, *feeds[place]) for position, place in places)
            self.assign(Binding(pointed), residents)
        return {one.model.name: _name(self._sitting[one.model.name]) for one in models}

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """The forward of the module; `adapter_names` says whose each sample is."""
        try:
            return self.module(*args, **inputs)
        except BaseException:
            self._unhook()
            raise

    def _unhook(self) -> None:
        """Take off the hooks that PEFT leaves behind where a forward raises."""
        for one in self.module.modules():
            for key in one._forward_pre_hooks.keys() - self._hooks:
                one._forward_pre_hooks.pop(key, None)
                one._forward_pre_hooks_with_kwargs.pop(key, None)

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


def feeds_of(known: Known) -> Feeds:
    """What fills the places of a model with one adapter."""
    slots = known.skeleton.slots
    return {slots[at].name: (digest, name) for at, digest, name in known.binding.feeds}


def base_of(known: Known) -> str:
    """A digest of what fills the base's places: equal where the base has the same weights."""
    feeds = sorted(one for one in feeds_of(known).items() if not _OWN.search(one[0]))
    return hashlib.sha256(repr(feeds).encode()).hexdigest()


def _seated(architecture: Architecture, seats: int) -> torch.nn.Module:
    make = adapted_maker(architecture)

    def build() -> Any:
        module = make()
        for seat in range(1, seats):
            module.add_adapter(_name(seat), deepcopy(module.peft_config[ADAPTER]))
        return module

    return build_with(build, f"{architecture.label} with {seats} seats")


def _name(seat: int) -> str:
    return f"seat{seat}" if seat else ADAPTER


def _place(name: str) -> tuple[int | None, str]:
    """Whose place it is, a seat's or (None) the base's, and its name in a module with one."""
    match = _OWN.search(name)
    if match is None:
        return None, name
    return int(match[3] or 0), _OWN.sub(rf".\1.{ADAPTER}", name)

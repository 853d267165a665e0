"""A model without weights, built once per architecture; variants take turns in giving it theirs.

A skeleton is built on PyTorch's meta device (no memory, no initialisation). Switching to a variant
points the skeleton's parameters and buffers at the variant's resident tensors, and only at those
that differ from the last variant's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from trunkline.errors import ArchitectureError
from trunkline.runtime.dtypes import safetensors_dtype, torch_dtype
from trunkline.runtime.resident import ResidentBlock, Residents
from trunkline.runtime.slots import Slot, fill_unstored, find_slots, vacate
from trunkline.store import Architecture, StoredModel, TensorSpec
from trunkline.store.adapted import base_renaming, naming
from trunkline.store.building import build_skeleton
from trunkline.store.fitting import misfit


@dataclass(frozen=True, slots=True)
class Binding:
    """Which stored tensor feeds which slot of a skeleton: (slot's position, digest, name)."""

    feeds: tuple[tuple[int, str, str], ...]


class Holding:
    """Slots, and the resident tensors that they point at.

    Attributes:
        slots: places that hold nothing at first.
    """

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        self._holds: list[tuple[ResidentBlock, str] | None] = [None] * len(slots)
        self._fed_by: dict[str, set[int]] = {}  # digest -> positions of the slots that hold it
        self._sure: tuple[Binding, int] | None = None  # what was assigned, at which residents

    def assign(self, binding: Binding, residents: Residents) -> int:
        """Point the slots at a model's resident tensors; returns how many pointed elsewhere."""
        if self._is_sure(binding, residents):
            return 0
        changed = 0
        for position, digest, name in binding.feeds:
            block = residents[digest]
            holds = self._holds[position]
            if holds is None or holds[0] is not block or holds[1] != name:
                if holds is not None:
                    self._fed_by[holds[0].block.digest].discard(position)
                self.slots[position].assign(block, name)
                self._holds[position] = (block, name)
                self._fed_by.setdefault(digest, set()).add(position)
                changed += 1
        self._sure = binding, residents.changes
        return changed

    def release(self, digests: Collection[str]) -> None:
        """Take blocks out of the slots that hold them, since they are leaving memory."""
        self._sure = None
        for digest in digests:
            for position in self._fed_by.pop(digest, ()):
                self.slots[position].release()
                self._holds[position] = None

    def replaced(self) -> dict[str, str]:
        """Blocks of which a forward put another tensor in the place of one, and that one's name."""
        return {
            held[0].block.digest: held[1]
            for slot, held in zip(self.slots, self._holds, strict=True)
            if held is not None and not slot.holds(*held)
        }

    def clear(self) -> None:
        """Take everything out of the slots."""
        self.release(list(self._fed_by))

    def _is_sure(self, binding: Binding, residents: Residents) -> bool:
        """Whether nothing changed since these were assigned: to look at each takes longer."""
        sure = self._sure
        return sure is not None and sure[0] is binding and sure[1] == residents.changes


class Skeleton(Holding):
    """The module of an architecture, and what its slots hold at the moment."""

    def __init__(self, architecture: Architecture, device: torch.device) -> None:
        self.label = architecture.label
        self.module = build_skeleton(architecture)
        slots = tuple(find_slots(self.module))
        self._stored_name = naming(architecture)
        unstored = fill_unstored(self.module, slots, architecture, device)
        self._ignored = frozenset(map(self._stored_name, unstored))
        known = {self._stored_name(name) for slot in slots for name in slot.names} | self._ignored
        self._rename = base_renaming(architecture, self.module, known)
        self._known = known
        super().__init__(vacate(slots))
        self.module.eval()
        self.module.requires_grad_(False)

    def bind(self, model: StoredModel) -> Binding:
        """Find the stored tensor of every slot.

        A slot takes the tensor of its own name, else of the name that the store recorded as tied
        to it, else of the last place tied to it that has one (as copying a state dict would).

        Raises:
            ArchitectureError: a slot without a tensor, a tensor without a slot, another shape or
                kind. Another precision is fine: the stored one holds.
        """
        stored = self._stored(model)
        tied = {dropped: self._rename(kept) for dropped, kept in model.tied.items()}
        feeds = []
        for position, slot in enumerate(self.slots):
            names = [self._stored_name(name) for name in slot.names]
            own = self._stored_name(slot.name)
            source = _source(own, names, stored, tied)
            if source is None:
                raise ArchitectureError(
                    f"model {model.name!r} has no tensor {own!r}, which {self.label} needs"
                )
            digest, spec = stored[source]
            needed = safetensors_dtype(slot.empty.dtype), tuple(slot.empty.shape)
            if problem := misfit(spec.name, spec.dtype, spec.shape, needed, self.label):
                raise ArchitectureError(f"model {model.name!r}: {problem}")
            torch_dtype(spec.dtype)  # an older PyTorch may lack it: told before any load
            feeds.append((position, digest, spec.name))
        return Binding(tuple(feeds))

    def _stored(self, model: StoredModel) -> dict[str, tuple[str, TensorSpec]]:
        """A model's tensors by the names that the module has for them: (block's digest, tensor).

        Raises:
            ArchitectureError: the module has no place for one, or one place for two.
        """
        stored: dict[str, tuple[str, TensorSpec]] = {}
        for block in model.blocks:
            for spec in block.tensors:
                name = self._rename(spec.name)
                if name not in self._known or name in stored:
                    raise ArchitectureError(
                        f"model {model.name!r} has a tensor {spec.name!r}, for which {self.label} "
                        "has no place"
                    )
                stored[name] = block.digest, spec
        return stored

    def holds(self, binding: Binding, residents: Residents) -> bool:
        """Whether the slots point at exactly these tensors, all of them resident."""
        if self._is_sure(binding, residents):
            return True
        for position, digest, name in binding.feeds:
            holds = self._holds[position]
            if digest not in residents or holds is None:
                return False
            if holds[0] is not residents[digest] or holds[1] != name:
                return False
        return True


def _source(
    own: str, names: Sequence[str], stored: Mapping[str, object], tied: Mapping[str, str]
) -> str | None:
    """The stored tensor for a place of that name, `names` being those of the places tied to it."""
    if len(names) > 1:  # all tied places must get one tensor
        candidates: Iterable[str] = reversed(names)
    else:
        candidates = (own,)
    for name in candidates:
        if name in stored:
            return name
        if tied.get(name) in stored:
            return tied[name]
    return None

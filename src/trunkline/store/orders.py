"""In which order models use their blocks, as their forwards showed.

`.trunkline/orders/<architecture>.json`: the names of tensors in the order of their first use, from
the first forward that was watched. It is kept by architecture (`Architecture.key`), so that all
variants of a backbone have it from one forward of any of them, and beside the manifests, whose
digests stay as they are. A tied tensor has all its names at its first use, so that it does not
matter under which of them a variant stores it.

It is a hint: by an order that is wrong, or for another input, blocks come later than they could,
and nothing else goes wrong. A file of it may be deleted; the next forward that is watched writes
it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from trunkline.errors import StoreError
from trunkline.store.architecture import Architecture
from trunkline.store.layout import Layout, make_directories
from trunkline.store.manifest import encode
from trunkline.store.model import StoredBlock, StoredModel

FORMAT: Final = "trunkline/order/1"


class Orders:
    """The orders of a store; those that it could not write it remembers while it is open."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[str, tuple[str, ...]] = {}

    def knows(self, model: StoredModel) -> bool:
        """Whether the order of a model's architecture was recorded."""
        return model.architecture is not None and bool(self._names(model.architecture))

    def blocks(self, model: StoredModel) -> tuple[StoredBlock, ...]:
        """A model's blocks in the order of their first use; those of which nothing was recorded
        come last, in the order of the manifest."""
        if model.architecture is None:
            return model.blocks
        recorded = self._names(model.architecture)
        place, last = {name: i for i, name in enumerate(recorded)}, len(recorded)
        names = _names_of(model)

        def first_use(block: StoredBlock) -> int:
            return min((place.get(name, last) for name in names(block)), default=last)

        return tuple(sorted(model.blocks, key=first_use))

    def note(self, model: StoredModel, used: Sequence[str]) -> bool:
        """Record the order of a model's architecture, unless it is known; whether it was not.

        Args:
            used: digests of the blocks that a forward used, in the order of their first use.
        """
        if model.architecture is None or not used or self.knows(model):
            return False
        names, blocks = _names_of(model), {block.digest: block for block in model.blocks}
        found = tuple(name for digest in used for name in names(blocks[digest]))
        self._known[model.architecture.key] = found
        path = self._path(model.architecture)
        content = encode({"format": FORMAT, "tensors": found})
        with suppress(StoreError, OSError), self._layout.adding():  # unless it may only be read
            make_directories(path.parent)
            self._layout.replace(path, content, durable=False)
        return True

    def _names(self, architecture: Architecture) -> tuple[str, ...]:
        found = self._known.get(architecture.key)
        if found is None and (found := self._read(self._path(architecture))):
            self._known[architecture.key] = found
        return found or ()

    def _read(self, path: Path) -> tuple[str, ...]:
        """What a file says; nothing if it is not there or cannot be used."""
        try:
            document = self._layout.read_json(path) if path.exists() else {}
        except (StoreError, OSError):
            return ()
        names = document.get("tensors")
        if document.get("format") != FORMAT or not isinstance(names, list):
            return ()
        return tuple(name for name in names if isinstance(name, str))

    def _path(self, architecture: Architecture) -> Path:
        return self._layout.orders / f"{architecture.key}.json"


def _names_of(model: StoredModel) -> Callable[[StoredBlock], list[str]]:
    """Tells the names of a block's tensors, those that are tied to them, too."""
    tied: dict[str, list[str]] = {}
    for dropped, kept in model.tied.items():
        tied.setdefault(kept, []).append(dropped)

    def names(block: StoredBlock) -> list[str]:
        return [name for one in block.tensors for name in (one.name, *tied.get(one.name, ()))]

    return names

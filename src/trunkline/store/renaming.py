"""Names in a file of weights and names in a module, where Transformers tells them apart.

Since version 5 it renames some tensors when it loads (`vit.encoder.layer.0...` is the module's
`vit.layers.0...`) and names them back when it saves. A store keeps the names of the files, which
stock readers know.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from trunkline.store.building import UNEXPECTED


def renaming(module: Any, names: Iterable[str]) -> Callable[[str], str]:
    """What names a file's tensor as the module does; the same name where nothing is renamed.

    Tensors that Transformers would also reshape or join keep their names, and so find no place.

    Args:
        module: a model of Transformers, on any device.
        names: of the places of its state.
    """
    transforms, there = _transforms(module), frozenset(names)

    def rename(name: str) -> str:
        if name in there:
            return name
        renamed = name
        for transform in transforms:
            renamed = transform.rename_source_key(renamed)[0]
        return renamed if renamed in there else name

    return rename if transforms else str


def _transforms(module: Any) -> list[Any]:
    """The renamings of a model, none where this Transformers has no such thing."""
    try:
        mapping = importlib.import_module("transformers.conversion_mapping")
        loading = importlib.import_module("transformers.core_model_loading")
        found = mapping.get_model_conversion_mapping(module)
    except UNEXPECTED:  # before version 5, or not as we know it
        return []
    return [one for one in found if isinstance(one, loading.WeightRenaming)]

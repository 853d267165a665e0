"""A model of Transformers with an unmerged LoRA adapter, built by PEFT without weights.

PEFT wraps the layers that it adapts, and their names grow: `encoder.query.weight` becomes
`base_model.model.encoder.query.base_layer.weight`. In a store the base's tensors keep the base's
names, so that their blocks are the base's own, and the adapter's keep those of its file.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from trunkline.errors import ArchitectureError
from trunkline.store.architecture import Architecture
from trunkline.store.lora import check_resolved
from trunkline.store.pretrained import model_maker
from trunkline.store.renaming import renaming
from trunkline.units import shorten

PREFIX: Final = "base_model.model."
"""What PEFT puts before the name of every tensor, in the adapter's file too."""

ADAPTER: Final = "default"
"""What PEFT calls an adapter that nobody named."""

_OWN: Final = re.compile(rf"\.(lora_\w+|modules_to_save)\.{ADAPTER}(?=\.|$)")
_WRAPPED: Final = re.compile(r"\.(base_layer|original_module)(?=\.)")


def stored_name(place: str) -> str:
    """The name in a store of the tensor for a place of the wrapped model.

    A tensor of the adapter has the name that it has in `adapter_model.safetensors`, one of the base
    the name that it has there. Any other name is returned as it is.
    """
    if not place.startswith(PREFIX):
        return place
    if match := _OWN.search(place):
        part = "" if match[1] == "modules_to_save" else f".{match[1]}"
        return place[: match.start()] + part + place[match.end() :]
    return _WRAPPED.sub("", place[len(PREFIX) :])


def naming(architecture: Architecture) -> Callable[[str], str]:
    """What names the stored tensor for each place of what an architecture builds."""
    return stored_name if architecture.kind == "peft" else str


def base_renaming(
    architecture: Architecture, module: Any, names: Iterable[str]
) -> Callable[[str], str]:
    """What names a stored tensor as Transformers' module does (an adapter's as it is).

    Args:
        module: what the architecture builds.
        names: the stored names of its places, as `naming` gives them.
    """
    if architecture.kind == "factory":
        return str
    below = module.get_base_model() if architecture.kind == "peft" else module
    return renaming(below, names)


def adapted_maker(architecture: Architecture) -> Callable[[], Any]:
    """What builds a base with an adapter whose layers are all named in full.

    Raises:
        ArchitectureError: PEFT or Transformers is not installed, the base cannot be built, or the
            settings are none that an import writes. The maker raises it where PEFT adapts other
            layers than the settings say, or with other ranks.
    """
    settings = dict(architecture.adapter or {})
    check_resolved(settings, architecture.label)
    make = wrapping_maker(architecture, settings)

    def checked() -> Any:
        module = make()
        expected = {
            name: (
                settings.get("rank_pattern", {}).get(name, settings["r"]),
                settings.get("alpha_pattern", {}).get(name, settings["lora_alpha"]),
            )
            for name in settings["target_modules"]
        }
        found = ranks(module)
        if found != expected:
            odd = min(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            raise ArchitectureError(
                f"{architecture.label}: PEFT adapts {shorten(odd)!r} with rank and alpha "
                f"{found.get(odd)} where {expected.get(odd)} is asked for"
            )
        return module

    return checked


def wrapping_maker(architecture: Architecture, settings: Mapping[str, Any]) -> Callable[[], Any]:
    """What builds a base with an adapter by PEFT's own settings, patterns among them.

    Raises:
        ArchitectureError: PEFT or Transformers is not installed, or the base cannot be built.
    """
    library, base = import_peft(architecture.label), model_maker(architecture.base)
    known = dict(settings)
    # As patterns PEFT reads them; a layer's full name shall stand for itself alone.
    for key in ("rank_pattern", "alpha_pattern"):
        if architecture.adapter is not None and known.get(key):
            known[key] = {f"^{re.escape(name)}": value for name, value in known[key].items()}

    def make() -> Any:
        config = library.LoraConfig(**deepcopy(known), inference_mode=True)  # PEFT changes lists
        return library.get_peft_model(base(), config, ADAPTER)

    return make


def ranks(module: Any) -> dict[str, tuple[int, float]]:
    """The adapted layers of a wrapped model, by their names in the base: (rank, alpha)."""
    layer: Any = importlib.import_module("peft.tuners.lora").LoraLayer
    return {
        _WRAPPED.sub("", name.removeprefix(PREFIX)): (one.r[ADAPTER], one.lora_alpha[ADAPTER])
        for name, one in module.named_modules()
        if isinstance(one, layer)
    }


def import_peft(what: str) -> Any:
    """PEFT (ArchitectureError if it is not installed)."""
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise ArchitectureError(
            f"{what} is an adapter and needs PEFT, which cannot be imported ({error}): "
            "pip install 'trunkline[hf]'"
        ) from None

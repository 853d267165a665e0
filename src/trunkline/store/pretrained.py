"""Models of Hugging Face's Transformers, built from a `config.json` without weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from trunkline.errors import ArchitectureError
from trunkline.store.architecture import Architecture
from trunkline.units import shorten


def model_maker(architecture: Architecture) -> Callable[[], Any]:
    """What builds the model, `architectures[0]` of the config or, where it names none, the plain
    model of its type.

    No code comes from anywhere but the installed library: `auto_map` is not followed, and kernels
    that a config names by a repository are left out.

    Raises:
        ArchitectureError: Transformers is not installed, or knows no such class or type.
    """
    library, config = import_transformers(architecture.label), dict(architecture.config or {})
    if architecture.class_name is None:
        return _plain_model(library, config)
    class_ = model_class(library, architecture.class_name)

    def make() -> Any:
        model = class_._from_config(class_.config_class.from_dict(_own_kernels(config)))
        model.tie_weights()
        return model

    return make


def model_class(library: Any, name: str) -> Any:
    """The class of models of that name in Transformers (ArchitectureError if there is none)."""
    found: Any = getattr(library, name, None)
    if not _is_model(found, library):
        raise ArchitectureError(
            f"transformers {library.__version__} has no model class {shorten(name)!r}"
        )
    return found


def _is_model(found: Any, library: Any) -> bool:
    if not isinstance(found, type) or not issubclass(found, library.PreTrainedModel):
        return False
    return getattr(found, "config_class", None) is not None


def _plain_model(library: Any, config: dict[str, Any]) -> Callable[[], Any]:
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise ArchitectureError("config.json names no model_type and no class")
    if kind not in library.CONFIG_MAPPING:
        raise ArchitectureError(
            f"transformers {library.__version__} has no model_type {shorten(kind)!r}"
        )

    def make() -> Any:
        settings = library.CONFIG_MAPPING[kind].from_dict(_own_kernels(config))
        return library.AutoModel.from_config(settings)

    return make


def import_transformers(what: str) -> Any:
    """Transformers (ArchitectureError if it is not installed)."""
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise ArchitectureError(
            f"{what} is a Hugging Face model and needs transformers: pip install 'trunkline[hf]'"
        ) from None


def _own_kernels(config: Any) -> Any:
    """A copy without `attn_implementation` and its like where they name a repository: kernels are
    code from the network, and no part of what is built."""
    if isinstance(config, list):
        return [_own_kernels(one) for one in config]
    if not isinstance(config, dict):
        return deepcopy(config)
    return {
        key: _own_kernels(value)
        for key, value in config.items()
        if not (str(key).endswith(("_implementation", "_internal")) and "/" in str(value))
    }

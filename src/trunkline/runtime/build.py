"""Building modules from a recorded architecture: on the meta device, or for real.

A factory is code that the user named; building runs it. It is found as `python -m` would find it,
with the working directory first.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import nn

from trunkline.errors import ArchitectureError
from trunkline.store import Architecture
from trunkline.store.skeleton import load_callable


def build_skeleton(architecture: Architecture) -> nn.Module:
    """The module on the meta device; where its constructor needs data, built for real.

    Raises:
        ArchitectureError: the architecture cannot be found or built.
    """
    make = _maker(architecture)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = make()
    except ArchitectureError:
        raise
    except Exception:  # whatever a constructor raises on tensors without data
        return build_real(architecture)  # its values go when the first weights come
    return _checked(module, architecture)


def build_real(architecture: Architecture) -> nn.Module:
    """The module with the values that its constructor gives it, on the CPU, seeds left alone.

    Raises:
        ArchitectureError: the architecture cannot be found or built.
    """
    make = _maker(architecture)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            module = make()
    except ArchitectureError:
        raise
    except Exception as error:  # user code: whatever it raises is the answer
        raise ArchitectureError(
            f"{architecture.label} cannot be built: {type(error).__name__}: {error}"
        ) from error
    return _checked(module, architecture)


def _checked(module: Any, architecture: Architecture) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise ArchitectureError(
            f"{architecture.label} returned {type(module).__name__} and not a torch.nn.Module"
        )
    return module


def _maker(architecture: Architecture) -> Any:
    if architecture.kind == "huggingface":
        return lambda: _from_transformers(architecture)
    here = os.getcwd()
    if not {"", here} & set(sys.path):  # for what the factory itself imports when it is called
        sys.path.append(here)
    factory = load_callable(str(architecture.factory))
    return lambda: factory(**dict(architecture.kwargs))


def _from_transformers(architecture: Architecture) -> nn.Module:
    label = architecture.label
    try:
        import transformers
    except ImportError:
        raise ArchitectureError(
            f"{label} is a Hugging Face model and needs transformers: pip install 'trunkline[hf]'"
        ) from None
    settings = dict(architecture.config or {})
    model_type = settings.pop("model_type", None)
    if not isinstance(model_type, str):
        raise ArchitectureError(f"{label}: its config.json names no model_type")
    try:
        config = transformers.AutoConfig.for_model(model_type, **settings)
    except ValueError as error:
        raise ArchitectureError(f"{label}: {error}") from None
    known = getattr(transformers, architecture.class_name or "", None)
    if architecture.class_name and known is None:
        raise ArchitectureError(f"transformers has no class {architecture.class_name!r}")
    if known is None:
        known = transformers.AutoModel
        return _checked(known.from_config(config), architecture)  # type: ignore[no-untyped-call]
    return _checked(known._from_config(config), architecture)

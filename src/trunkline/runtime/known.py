"""What a runtime knows of a model that it looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.errors import ArchitectureError
from trunkline.runtime.skeleton import Binding, Skeleton
from trunkline.store import Architecture, StoredBlock, StoredModel


@dataclass(frozen=True, slots=True)
class Known:
    """A model that was looked up once: its blocks by digest, its skeleton, and what feeds what."""

    model: StoredModel
    blocks: Mapping[str, StoredBlock]
    skeleton: Skeleton
    binding: Binding


def architecture_of(model: StoredModel) -> Architecture:
    """How a model is built (ArchitectureError if it was imported without)."""
    if model.architecture is None:
        raise ArchitectureError(
            f"model {model.name!r} cannot be run: imported without an architecture; import it "
            "with --factory"
        )
    return model.architecture

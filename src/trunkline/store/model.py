"""What a store holds: tensors within blocks, blocks within models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trunkline.library import Model, ModelLibrary
from trunkline.store.architecture import Architecture, InputSpec


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor within a block (or a safetensors file).

    Attributes:
        name: its full name, as in `state_dict()`.
        dtype: the safetensors name of its type (`F32`, `BF16`, `I64`, ...).
        shape: its dimensions; `()` for a scalar.
        begin: where its bytes begin, counted from the start of the data.
        end: where they end.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def bytes(self) -> int:
        """The size of the tensor's data in bytes."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A parameter block: the tensors of one leaf module in one blob.

    Attributes:
        id: path of the module (`layer1.0.conv1`); `.` for tensors at the root. Unique in a model.
        digest: `sha256:<64 hex>` of the blob.
        bytes: payload, the sum of the tensors' bytes.
        size: the blob's file size in bytes (header and payload).
        data_start: where in the blob the payload begins: in blocks that a store wrote, a multiple
            of 64.
        tensors: the tensors, in the order of their offsets.
    """

    id: str
    digest: str
    bytes: int
    size: int
    data_start: int
    tensors: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in a store.

    Attributes:
        name: its name in the store.
        blocks: its blocks in the order of its manifest, which is that of execution as far as the
            import could tell; `Store.orders` knows better where a forward was watched.
        architecture: how to build it, None for bare weights.
        input: what it takes, None if not recorded.
        bytes: payload of all its blocks.
        digest: `sha256:<64 hex>` of its manifest; equal for equal content.
        tied: names that share another tensor's storage: dropped name -> name that is stored.
        metadata: `__metadata__` of the file it came from.
        files: its other files (`config.json`, a tokenizer's ...): name -> digest.
    """

    name: str
    blocks: tuple[StoredBlock, ...]
    architecture: Architecture | None
    input: InputSpec | None
    bytes: int
    digest: str = ""
    tied: Mapping[str, str] = field(default_factory=dict, hash=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    files: Mapping[str, str] = field(default_factory=dict, hash=False)


def library_of(models: Iterable[StoredModel]) -> ModelLibrary:
    """Who shares what: blocks named by their digests and sized by their payload."""
    sizes: dict[str, float] = {}
    held = []
    for model in models:
        sizes.update({block.digest: float(block.bytes) for block in model.blocks})
        held.append(Model(model.name, tuple(block.digest for block in model.blocks)))
    return ModelLibrary(sizes, held)

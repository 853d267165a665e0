"""Tensors into parameter blocks: one per leaf module, a very large tensor alone.

A block's file is a function of its tensors only (names, types, shapes, bytes), so two models that
have a leaf module in common have a blob in common, whoever imports them and from whatever file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from trunkline.store.dtypes import ITEM_BYTES
from trunkline.store.header import encode_header
from trunkline.store.model import TensorSpec
from trunkline.store.sources import SourceTensor

LARGE_TENSOR_BYTES: Final = 64 * 2**20
"""A tensor of this size or more is a block of its own."""

MAX_BLOCKS: Final = 4_000
"""A model of more leaf modules has them grouped (a registry's manifest limit is 4 MiB)."""

ROOT_ID: Final = "."
"""The id of the block of tensors whose names have no module path."""

_METADATA: Final = {"format": "pt"}


@dataclass(frozen=True)
class BlockDraft:
    """A block before it has a digest; its tensors in the order they take in the file."""

    id: str
    tensors: tuple[SourceTensor, ...]

    @cached_property
    def header(self) -> bytes:
        """The first bytes of the block's file, a multiple of 64."""
        return encode_header(self.specs, _METADATA)

    @cached_property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Where each tensor lies in the block's data."""
        result, begin = [], 0
        for one in self.tensors:
            result.append(TensorSpec(one.name, one.dtype, one.shape, begin, begin + one.bytes))
            begin += one.bytes
        return tuple(result)

    @property
    def bytes(self) -> int:
        """Payload: the sum of the tensors' bytes."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def size(self) -> int:
        """Bytes of the block's file."""
        return len(self.header) + self.bytes

    def read(self, buffer: memoryview, piece_bytes: int = 2**20) -> Iterator[memoryview]:
        """Fill `buffer` with the file's bytes, yielding them in pieces as they come.

        A buffer of at least `size` bytes holds the whole file at the end; a smaller one is used
        again and again, and a piece is then valid until the next one is taken.
        """
        whole = len(buffer) >= self.size
        at = len(self.header)
        if whole:
            buffer[:at] = self.header
            yield buffer[:at]
        else:
            yield memoryview(self.header)
        for tensor in self.tensors:
            for offset in range(0, tensor.bytes, piece_bytes):
                count = min(piece_bytes, tensor.bytes - offset)
                piece = buffer[at : at + count] if whole else buffer[:count]
                tensor.reader.read_into(tensor.position + offset, piece)
                yield piece
                at += count


def module_of(tensor_name: str) -> str:
    """The path of the leaf module that owns a tensor: its name up to the last dot."""
    return tensor_name.rpartition(".")[0] or ROOT_ID


def group(
    tensors: Sequence[SourceTensor],
    max_blocks: int = MAX_BLOCKS,
    block_of: Mapping[str, str] | None = None,
) -> tuple[BlockDraft, ...]:
    """The blocks of a model, ordered by the first of their tensors.

    A tensor that `block_of` names goes into the block of that id, not with its leaf module.

    Of more than `max_blocks` leaf modules, those under a common path are joined, at the greatest
    depth that leaves few enough; where no depth does, neighbours in order are joined.
    """
    members: dict[str, list[SourceTensor]] = {}
    for tensor in tensors:
        block_id = (block_of or {}).get(tensor.name) or module_of(tensor.name)
        members.setdefault(block_id, []).append(tensor)
    if len(members) > max_blocks:
        members = _join(members, max_blocks)
    drafts: list[BlockDraft] = []
    ids = set(members)
    for block_id, block in members.items():
        drafts.extend(_split(block_id, block, ids))
    place = {id(tensor): i for i, tensor in enumerate(tensors)}
    drafts.sort(key=lambda draft: min(place[id(tensor)] for tensor in draft.tensors))
    return tuple(drafts)


def _split(block_id: str, tensors: list[SourceTensor], ids: set[str]) -> list[BlockDraft]:
    large = [tensor for tensor in tensors if tensor.bytes >= LARGE_TENSOR_BYTES]
    if not large or len(tensors) == 1:
        return [_draft(block_id, tensors)]
    small = [tensor for tensor in tensors if tensor.bytes < LARGE_TENSOR_BYTES]
    drafts = [_draft(block_id, small)] if small else []
    for tensor in large:
        own = tensor.name
        while own in ids:  # a module may be called what this tensor is called
            own += "'"
        ids.add(own)
        drafts.append(_draft(own, [tensor]))
    return drafts


def _draft(block_id: str, tensors: list[SourceTensor]) -> BlockDraft:
    # Wide types first: with the payload at a multiple of 64, every tensor is then aligned.
    ordered = sorted(tensors, key=lambda tensor: (-ITEM_BYTES[tensor.dtype], tensor.name))
    return BlockDraft(block_id, tuple(ordered))


def _join(members: dict[str, list[SourceTensor]], max_blocks: int) -> dict[str, list[SourceTensor]]:
    paths = {path: path.split(".") for path in members}
    for depth in range(max(len(parts) for parts in paths.values()) - 1, 0, -1):
        joined: dict[str, list[SourceTensor]] = {}
        for path, tensors in members.items():
            joined.setdefault(".".join(paths[path][:depth]) or ROOT_ID, []).extend(tensors)
        if len(joined) <= max_blocks:
            return joined
        members, paths = joined, {path: path.split(".") for path in joined}
    together = -(-len(members) // max_blocks)
    runs: dict[str, list[SourceTensor]] = {}
    names = list(members)
    for start in range(0, len(names), together):
        run = names[start : start + together]
        runs[run[0]] = [tensor for name in run for tensor in members[name]]
    return runs

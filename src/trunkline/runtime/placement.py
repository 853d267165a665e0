"""Where the tensors of a block lie in memory, and which bytes of its file go where.

In a block's file the tensors stand one behind the other; in memory each begins at a multiple of 64
bytes. PyTorch allocates at such addresses, and kernels choose their code by alignment, so only then
are outputs bit-equal to those of weights that were loaded the usual way.

The payload of a block's file begins at such a multiple, too, so the tensors of many blocks, and
nearly all large ones, begin at one already in the file, and may be used there (`lie_in_file`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trunkline.store import StoredBlock
from trunkline.store.dtypes import ITEM_BYTES

ALIGNMENT: Final = 64
"""Tensors begin at multiples of this many bytes, in memory."""

WIDEST: Final = max(ITEM_BYTES.values())
"""Bytes of an element of the widest type."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`bytes` bytes that go from `file_offset` of the block's file to `offset` of its buffer."""

    file_offset: int
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Placement:
    """The buffer of a block.

    Attributes:
        size: bytes of the buffer, a multiple of 64; at most 63 a tensor more than the payload.
        offsets: where each tensor begins in it, in the order of the block's tensors.
        pieces: the file's bytes, one piece a tensor that has any, by increasing file offset.
        in_file: whether the buffer is the payload as it lies in the file (its size is the
            payload's then).
    """

    size: int
    offsets: tuple[int, ...]
    pieces: tuple[Piece, ...]
    in_file: bool = False

    def clipped(self, begin: int, end: int) -> Iterator[Piece]:
        """The pieces (or parts of them) that go to `begin..end` of the buffer."""
        for piece in self.pieces:
            low, high = max(piece.offset, begin), min(piece.offset + piece.bytes, end)
            if low < high:
                yield Piece(piece.file_offset + low - piece.offset, low, high - low)


def place(block: StoredBlock) -> Placement:
    """Place a block's tensors one behind the other, each at a multiple of 64 bytes."""
    offsets, pieces, size = [], [], 0
    for tensor in block.tensors:  # in the order of their offsets in the file
        offsets.append(size)
        if tensor.bytes:
            pieces.append(Piece(block.data_start + tensor.begin, size, tensor.bytes))
        size += -(-tensor.bytes // ALIGNMENT) * ALIGNMENT
    return Placement(size, tuple(offsets), tuple(pieces))


def lie_in_file(block: StoredBlock) -> Placement | None:
    """The placement of a block's tensors where they lie in its file; None where one of them does
    not begin at a multiple of 64 there, or the payload is no whole number of the widest type."""
    if block.bytes % WIDEST or block.data_start % ALIGNMENT:
        return None
    if any(tensor.bytes and tensor.begin % ALIGNMENT for tensor in block.tensors):
        return None
    offsets = tuple(tensor.begin for tensor in block.tensors)
    return Placement(block.bytes, offsets, (Piece(block.data_start, 0, block.bytes),), True)

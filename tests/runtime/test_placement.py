"""Where tensors lie in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.runtime.placement import place
from trunkline.store import StoredBlock, TensorSpec


def block_of(sizes: list[int], data_start: int = 128) -> StoredBlock:
    """A block of byte tensors of these sizes."""
    tensors, at = [], 0
    for i, size in enumerate(sizes):
        tensors.append(TensorSpec(f"t{i}", "U8", (size,), at, at + size))
        at += size
    return StoredBlock("b", "sha256:" + "0" * 64, at, data_start + at, data_start, tuple(tensors))


def test_every_tensor_begins_at_a_multiple_of_64() -> None:
    """Sizes 4, 0, 65, 64 begin at 0, 64, 64, 192 (65 takes two lines), 256 in all."""
    placement = place(block_of([4, 0, 65, 64]))
    assert placement.offsets == (0, 64, 64, 192)
    assert placement.size == 256
    # File offsets: the payload begins at 128, the empty tensor has no piece.
    assert [(p.file_offset, p.offset, p.bytes) for p in placement.pieces] == [
        (128, 0, 4),
        (132, 64, 65),
        (197, 192, 64),
    ]


@given(st.lists(st.integers(0, 300), max_size=8), st.integers(1, 8))
def test_clipped_parts_cover_every_byte_once(sizes: list[int], lines: int) -> None:
    """Cutting the buffer into steps and clipping the pieces gives each file byte once, in place."""
    placement = place(block_of(sizes))
    step = 64 * lines
    found = {}
    for begin in range(0, placement.size, step):
        for piece in placement.clipped(begin, begin + step):
            assert begin <= piece.offset < piece.offset + piece.bytes <= begin + step
            for i in range(piece.bytes):
                assert piece.file_offset + i not in found
                found[piece.file_offset + i] = piece.offset + i
    whole = {p.file_offset + i: p.offset + i for p in placement.pieces for i in range(p.bytes)}
    assert found == whole

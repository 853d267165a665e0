"""Where tensors lie in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.runtime.placement import lie_in_file, place
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


def test_tensors_that_are_aligned_in_the_file_may_stay_there() -> None:
    """Each at a multiple of 64 from the payload's start, as is the payload in the file; empty ones
    may be anywhere; the payload is a whole number of eight bytes."""
    placement = lie_in_file(block_of([64, 128, 0, 8]))
    assert placement is not None
    assert placement.in_file
    assert placement.offsets == (0, 64, 192, 192)
    assert placement.size == 200
    assert [(p.file_offset, p.offset, p.bytes) for p in placement.pieces] == [(128, 0, 200)]
    assert lie_in_file(block_of([4, 0])) is None  # four bytes are no eight
    assert lie_in_file(block_of([8, 64])) is None  # the second begins at 8
    assert lie_in_file(block_of([64, 64], data_start=136)) is None


@given(st.lists(st.integers(0, 40).map(lambda n: 8 * n), max_size=6), st.sampled_from([64, 72]))
def test_others_may_not(sizes: list[int], data_start: int) -> None:
    """Exactly where every tensor that has bytes begins at a multiple of 64 of the file."""
    block = block_of(sizes, data_start)
    begins = [data_start, *(data_start + one.begin for one in block.tensors if one.bytes)]
    assert (lie_in_file(block) is not None) == all(begin % 64 == 0 for begin in begins)

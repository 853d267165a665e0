"""Scatter reads: the right bytes in the right places, and every length checked."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import CorruptBlobError, NotInStoreError
from trunkline.runtime import reading
from trunkline.runtime.placement import place
from trunkline.runtime.reading import BlockReader, Read
from trunkline.store import StoredBlock, TensorSpec


def blob(path: Path, sizes: list[int], data_start: int = 64) -> tuple[StoredBlock, bytes]:
    """A file of tensors of these sizes behind a header of 64 bytes, and its payload."""
    payload = os.urandom(sum(sizes))
    path.write_bytes(b"h" * data_start + payload)
    tensors, at = [], 0
    for i, size in enumerate(sizes):
        tensors.append(TensorSpec(f"t{i}", "U8", (size,), at, at + size))
        at += size
    digest = "sha256:" + "a" * 64
    return StoredBlock("b", digest, at, data_start + at, data_start, tuple(tensors)), payload


def read_of(path: Path, block: StoredBlock) -> tuple[Read, bytearray]:
    """A read of the block into a fresh buffer."""
    placement = place(block)
    buffer = bytearray(placement.size)
    return Read(str(path), block, placement, memoryview(buffer)), buffer


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12), threads=st.integers(1, 3))
def test_bytes_land_where_the_placement_says(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], threads: int
) -> None:
    """However many threads read and however blocks are split, every tensor has its bytes."""
    path = tmp_path_factory.mktemp("blob") / "b"
    block, payload = blob(path, sizes)
    read, buffer = read_of(path, block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SPLIT_BYTES", 512)
        patch.setattr(reading, "ALONE_BYTES", 0)
        reader = BlockReader(threads)
        reader.read([read])
        reader.close()
    for tensor, offset in zip(block.tensors, read.placement.offsets, strict=True):
        assert buffer[offset : offset + tensor.bytes] == payload[tensor.begin : tensor.end]


@pytest.mark.parametrize("threads", [1, 3])
def test_each_block_is_told_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Once a block, however many parts it has, when its last byte is in its place; begun in the
    given order, which one thread also ends in."""
    monkeypatch.setattr(reading, "SPLIT_BYTES", 512)
    monkeypatch.setattr(reading, "ALONE_BYTES", 0)
    made = [blob(tmp_path / str(n), sizes) for n, sizes in enumerate(([100], [3000, 7], [], [900]))]
    reads = [read_of(tmp_path / str(n), block) for n, (block, _) in enumerate(made)]
    told = []

    def there(at: int) -> None:
        (block, payload), (read, buffer) = made[at], reads[at]
        for tensor, offset in zip(block.tensors, read.placement.offsets, strict=True):
            assert buffer[offset : offset + tensor.bytes] == payload[tensor.begin : tensor.end]
        told.append(at)

    reader = BlockReader(threads)
    reader.read([read for read, _ in reads], there=there)
    reader.close()
    assert (told if threads == 1 else sorted(told)) == [0, 1, 2, 3]


def test_reading_goes_on_where_no_thread_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has only one more thread, it and the caller read everything, every time."""
    begun = []

    def start(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start_as_ever(thread)

    start_as_ever = threading.Thread.start
    block, payload = blob(tmp_path / "b", [3000] * 8)
    monkeypatch.setattr(reading, "SPLIT_BYTES", 512)
    monkeypatch.setattr(reading, "ALONE_BYTES", 0)
    monkeypatch.setattr(threading.Thread, "start", start)
    reader = BlockReader(4)
    for _ in range(3):
        read, buffer = read_of(tmp_path / "b", block)
        reader.read([read])
        for tensor, offset in zip(block.tensors, read.placement.offsets, strict=True):
            assert buffer[offset : offset + tensor.bytes] == payload[tensor.begin : tensor.end]
    reader.close()


def test_more_tensors_than_one_read_takes(tmp_path: Path) -> None:
    """2,500 tensors need three reads of at most 1,024 places each."""
    block, payload = blob(tmp_path / "b", [3] * 2500)
    read, buffer = read_of(tmp_path / "b", block)
    reading.read_block(read)
    assert bytes(buffer[64 * 2499 : 64 * 2499 + 3]) == payload[-3:]


@pytest.mark.parametrize("change", [-1, 1, -200])
def test_another_length_is_told_with_digest_and_file(tmp_path: Path, change: int) -> None:
    """A blob a byte shorter or longer than its header says is corrupt; digest and file named."""
    path = tmp_path / "b"
    block, _ = blob(path, [100, 50])
    os.truncate(path, block.size + change)
    read, _ = read_of(path, block)
    with pytest.raises(CorruptBlobError, match=f"{block.digest}.*{path}"):
        BlockReader(2).read([read])


def test_a_file_cut_short_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that ends early says at which byte, even if the length looked right before."""
    path = tmp_path / "b"
    block, _ = blob(path, [100, 50])
    longer = replace(block, tensors=(*block.tensors, TensorSpec("t2", "U8", (9,), 150, 159)))
    read, _ = read_of(path, longer)
    with pytest.raises(CorruptBlobError, match="ends at byte 214, 9 bytes too early"):
        reading.read_block(read)


def test_partial_reads_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may deliver less than asked at a time; the rest is asked for again."""
    path = tmp_path / "b"
    block, payload = blob(path, [100, 50, 7])
    read, buffer = read_of(path, block)
    real = os.preadv

    def slow(fd: int, views: list[memoryview], position: int) -> int:
        return real(fd, [views[0][:13]], position)

    monkeypatch.setattr(reading.os, "preadv", slow)
    reading.read_block(read)
    assert bytes(buffer[:100]) == payload[:100]
    assert bytes(buffer[128:178]) == payload[100:150]


def test_a_missing_blob(tmp_path: Path) -> None:
    """A blob that is gone is named, whichever thread finds out."""
    block, _ = blob(tmp_path / "b", [2_000_000])
    read, _ = read_of(tmp_path / "gone", block)
    reader = BlockReader(2)
    with pytest.raises(NotInStoreError, match=block.digest):
        reader.read([read, read])
    reader.close()

"""Blocks used in the pages of their files."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.conftest import normal_output
from trunkline.errors import (
    ArchitectureError,
    CorruptBlobError,
    NotInStoreError,
    StoreError,
)
from trunkline.runtime import Runtime
from trunkline.runtime.device import HostMemory, Job
from trunkline.runtime.mapping import LEAST_BYTES
from trunkline.runtime.pages import Pages, bring_in, can_map
from trunkline.runtime.placement import ALIGNMENT, lie_in_file
from trunkline.store import Store, StoredBlock

pytestmark = pytest.mark.skipif(not can_map(), reason="this system maps no files")

WIDTH = 512
BIG = 4 * WIDTH * WIDTH


@pytest.fixture
def memory() -> Iterator[HostMemory]:
    """Host memory that maps."""
    made = HostMemory(1)
    yield made
    made.close()


def large(store: Store, name: str = "a") -> list[StoredBlock]:
    """The blocks of a model that are mapped."""
    return [block for block in store.model(name).blocks if block.bytes >= LEAST_BYTES]


def job_of(memory: HostMemory, store: Store, block: StoredBlock) -> Job:
    """The job of a block."""
    return memory.job(str(store.blob_path(block.digest)), block, memory.place(block))


def mapped_files(store: Store) -> list[str]:
    """The store's files that this process has mapped, as the system says."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[-1] for line in lines if str(store.path) in line]


def mapped_bytes(store: Store) -> int:
    """The pages of the store's files that are in this process's memory."""
    found, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0] and not line.split()[0].endswith(":"):
            counts = str(store.path) in line
        elif counts and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


def test_answers_are_those_of_normally_loaded_weights(store: Store, add: Any) -> None:
    """Bit for bit, of two models in turn, mapped and copied; both ways count the same bytes."""
    states = {name: add(name, "wide", seed) for seed, name in enumerate("ab")}
    x = torch.randn(3, WIDTH)
    with Runtime(store) as mapped, Runtime(store, copy=True) as copied:
        for name in "abab":
            moved = mapped.switch(name), copied.switch(name)
            assert moved[0].bytes_moved == moved[1].bytes_moved == store.model(name).bytes
            wanted = normal_output("wide", states[name], x)
            assert torch.equal(mapped.infer(name, x), wanted)
            assert torch.equal(copied.infer(name, x), wanted)
            assert len(mapped_files(store)) == len(large(store, name)) == 3


def test_tensors_are_where_the_file_has_them(store: Store, add: Any, memory: HostMemory) -> None:
    """Aligned, equal to the file's bytes, and not in the arena."""
    state = add("a", "wide")
    for block in large(store):
        job = job_of(memory, store, block)
        memory.load([job])
        assert job.placement == lie_in_file(block)
        assert job.buffer.pages is not None
        whole = store.blob_path(block.digest).read_bytes()
        assert job.buffer.tensor.numpy().tobytes() == whole[block.data_start :]
        for spec, offset in zip(block.tensors, job.placement.offsets, strict=True):
            piece = job.buffer.tensor[offset : offset + spec.bytes]
            assert piece.data_ptr() % ALIGNMENT == 0
            assert torch.equal(piece, state[spec.name].reshape(-1).view(torch.uint8))


def test_what_leaves_is_unmapped(store: Store, add: Any) -> None:
    """Under a budget for one model nothing of the other stays mapped, and nothing at the end;
    no file stays open meanwhile."""
    for seed, name in enumerate("ab"):
        add(name, "wide", seed)
    before = len(os.listdir("/proc/self/fd"))
    with Runtime(store, memory_bytes=store.model("a").bytes) as runtime:
        for name in "aba":
            runtime.switch(name)
            runtime.infer(name, torch.randn(1, WIDTH))
            gc.collect()
            paths = {str(store.blob_path(block.digest)) for block in large(store, name)}
            assert set(mapped_files(store)) == paths
            assert len(os.listdir("/proc/self/fd")) == before
    gc.collect()
    assert not mapped_files(store)


def test_pages_go_at_once_though_tensors_stay(store: Store, add: Any) -> None:
    """What somebody still has of a block that left takes no memory; it is the store's if used."""
    state = add("a", "wide")
    with Runtime(store, memory_bytes=10**7) as runtime:
        runtime.switch("a")
        kept = runtime.tensors("a")
        assert mapped_bytes(store) >= sum(block.bytes for block in large(store))
        runtime.clear()
        assert mapped_bytes(store) == 0
        assert all(torch.equal(kept[name], state[name]) for name in ("0.weight", "3.weight"))


def test_nothing_stays_of_a_forward_that_overlapped(store: Store, add: Any) -> None:
    """Its rings of objects wait for the garbage collector, its memory does not."""
    add("a", "wide")
    gc.disable()
    try:
        with Runtime(store) as runtime:
            runtime.infer_while_loading("a", torch.randn(1, WIDTH), at_once=True)
            assert mapped_bytes(store)
            runtime.clear()
            assert mapped_bytes(store) == 0
    finally:
        gc.enable()


def test_a_removed_file_serves_whoever_has_it(store: Store, add: Any) -> None:
    """Its pages stay until the model leaves; then it is missing."""
    state, x = add("a", "wide"), torch.randn(2, WIDTH)
    add("b", "wide", 1)
    with Runtime(store) as runtime:
        runtime.switch("a")
        for block in large(store):
            store.blob_path(block.digest).unlink()
        assert torch.equal(runtime.infer("a", x), normal_output("wide", state, x))
        runtime.switch("b")
        with pytest.raises(NotInStoreError, match="is missing from the store"):
            runtime.switch("a")
        runtime.switch("b")  # no harm done
        runtime.infer("b", x)


def test_a_file_of_another_length_is_refused(store: Store, add: Any, memory: HostMemory) -> None:
    """Before it is mapped, and between that and the load: an error, no signal."""
    add("a", "wide")
    first, second, *_ = large(store)
    path = store.blob_path(first.digest)
    path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(CorruptBlobError, match=str(path)):
        job_of(memory, store, first)
    job = job_of(memory, store, second)
    path = store.blob_path(second.digest)
    os.truncate(path, second.size // 2)
    with pytest.raises(CorruptBlobError, match="bytes, not"):
        memory.load([job])


def test_what_cannot_be_read_is_an_error_of_the_load(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, nothing is resident, and the next attempt may succeed."""
    state, x = add("a", "wide"), torch.randn(1, WIDTH)

    def fail(self: Pages) -> None:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))

    with Runtime(store, memory_bytes=10**7) as runtime:
        with monkeypatch.context() as patched:
            patched.setattr(Pages, "populate", fail)
            with pytest.raises(StoreError, match=r"cannot read .*: Input/output error"):
                runtime.switch("a")
        assert runtime.resident_bytes == 0
        gc.collect()
        assert not mapped_files(store)
        runtime.switch("a")
        assert torch.equal(runtime.infer("a", x), normal_output("wide", state, x))


def test_files_that_cannot_be_mapped_are_copied(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without mappings, or when a process has too many."""

    def fail(self: Pages, *_: Any) -> None:
        self.size = 0
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(Pages, "__init__", fail)
    state, x = add("a", "wide"), torch.randn(1, WIDTH)
    with Runtime(store) as runtime:
        assert runtime.switch("a").bytes_moved == store.model("a").bytes
        assert torch.equal(runtime.infer("a", x), normal_output("wide", state, x))


def test_writing_leaves_the_file_as_it_is(store: Store, add: Any) -> None:
    """A forward that writes into a mapped weight is refused, and the next load has the store's."""
    state = add("a", "scribbles")
    before = {d: store.blob_path(d).read_bytes() for d in store.digests()}
    with Runtime(store) as runtime:
        runtime.switch("a")
        assert mapped_files(store)
        with pytest.raises(ArchitectureError, match=r"writes into its tensor 'table'"):
            runtime.infer("a", torch.ones(1, WIDTH))
        runtime.switch("a")
        assert torch.equal(runtime.tensors("a")["table"], state["table"])
    assert {d: store.blob_path(d).read_bytes() for d in store.digests()} == before


def test_answers_that_are_views_of_mapped_weights_are_copies(store: Store, add: Any) -> None:
    """Else an answer that is kept would keep a block's memory beyond the budget."""
    state = add("a", "scribbles")
    with Runtime(store) as runtime:
        runtime.switch("a")
        row = runtime.infer("a", torch.zeros(1, WIDTH))
        runtime.clear()
        gc.collect()
        assert not mapped_files(store)
        assert torch.equal(row, state["table"][0])


def test_a_file_that_was_not_cached_comes_in(tmp_path: Path) -> None:
    """In pieces, to the last byte; what is no file that can be mapped is left to its reader."""
    from trunkline.runtime.cache import drop_cached
    from trunkline.runtime.pages import cached_bytes

    path = tmp_path / "file"
    path.write_bytes(os.urandom(1_000_001))
    if not drop_cached([path]):
        pytest.skip("this file system keeps its pages")
    with path.open("rb") as file:
        bring_in(file.fileno(), 1_000_001)
        assert cached_bytes(file.fileno()) >= 1_000_001
    with Path(os.devnull).open("rb") as file:
        bring_in(file.fileno(), 4096)

"""Whether a forward should begin before its model is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trunkline.runtime import state_dict_source
from trunkline.runtime.device import HostMemory
from trunkline.runtime.gain import TENSOR_BYTES, gains
from trunkline.runtime.resident import Residents
from trunkline.store import Store, StoredBlock

CPU = torch.device("cpu")
Cached = Callable[[float], None]


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch) -> Cached:
    """Sets what share of every file the system has in memory."""
    share = [1.0]
    monkeypatch.setattr(
        "trunkline.runtime.gain.cached_bytes",
        lambda fd: int(share[0] * Path(f"/proc/self/fd/{fd}").stat().st_size),
    )
    return lambda value: share.__setitem__(0, value)


def add(store: Store, tensors: int, size: int) -> dict[str, StoredBlock]:
    """The blocks of a model of so many tensors of so many bytes, each in a block of its own."""
    state = {f"{n}.w": torch.full((size,), n, dtype=torch.uint8) for n in range(tensors)}
    store.add("m", state_dict_source(state))
    return {block.digest: block for block in store.model("m").blocks}


def test_bytes_that_are_waited_for_count_against_tensors(store: Store, cached: Cached) -> None:
    """Ten tensors of four times the limit: worth it from a quarter on that the disk must bring."""
    blocks, residents = add(store, 10, 4 * TENSOR_BYTES), Residents(store, HostMemory(1))
    for share, worth in ((0.0, True), (0.70, True), (0.80, False), (1.0, False)):
        cached(share)
        assert gains(blocks, residents, CPU) is worth


def test_an_accelerator_gains_of_cached_files_too(store: Store, cached: Cached) -> None:
    """There the host only copies, whether the disk is waited for or not; small tensors gain
    nothing anywhere."""
    residents = Residents(store, HostMemory(1))
    blocks = add(store, 10, 4 * TENSOR_BYTES)
    assert gains(blocks, residents, torch.device("cuda"))
    store.remove("m")
    small = add(store, 10, TENSOR_BYTES // 2)
    cached(0.0)
    assert not gains(small, residents, torch.device("cuda"))
    assert not gains(small, residents, CPU)


def test_only_what_is_missing_is_waited_for(store: Store, cached: Cached) -> None:
    """With nine of ten blocks resident the tenth is too little; with all, there is nothing."""
    blocks, residents = add(store, 10, 4 * TENSOR_BYTES), Residents(store, HostMemory(1))
    cached(0.0)
    residents.bring(dict(list(blocks.items())[:9]))
    assert not gains(blocks, residents, CPU)
    residents.bring(blocks)
    assert not gains(blocks, residents, CPU)


def test_a_file_that_is_gone_counts_nothing(store: Store, cached: Cached) -> None:
    """Whoever loads it says so; here it is only not waited for."""
    blocks, residents = add(store, 2, 4 * TENSOR_BYTES), Residents(store, HostMemory(1))
    cached(0.0)
    for block in blocks.values():
        store.blob_path(block.digest).unlink()
    assert not gains(blocks, residents, CPU)

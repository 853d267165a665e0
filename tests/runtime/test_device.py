"""Devices: what of the CUDA path runs without CUDA."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from trunkline.runtime import Runtime, device
from trunkline.runtime.arena import Buffer
from trunkline.runtime.device import Job, StagingRing, available_bytes
from trunkline.runtime.placement import place
from trunkline.store import Store, StoredBlock


def job_of(store: Store, block: StoredBlock, target: torch.Tensor) -> Job:
    """What brings a block of a store into a buffer that the host has no view of."""
    buffer = Buffer(target, target.numel())
    return Job(str(store.blob_path(block.digest)), block, place(block), buffer)


class Recorder:
    """An event that tells when it was recorded and waited for."""

    log: list[str]

    def record(self) -> None:
        self.log.append("record")

    def synchronize(self) -> None:
        self.log.append("wait")


@pytest.mark.parametrize("slot_bytes", [64, 192, 1 << 20])
def test_the_staging_ring_brings_every_byte(store: Store, add: Any, slot_bytes: int) -> None:
    """In parts of any size, through two slots, tensors arrive whole and in their places."""
    state = add("a", "conv")
    ring = StagingRing(slot_bytes, 2)
    for block in store.model("a").blocks:
        placement = place(block)
        target = torch.empty(placement.size, dtype=torch.uint8)
        ring.load(job_of(store, block, target).read, target)
        for spec, offset in zip(block.tensors, placement.offsets, strict=True):
            wanted = state[spec.name].reshape(-1).view(torch.uint8)
            assert torch.equal(target[offset : offset + spec.bytes], wanted)


def test_a_slot_is_filled_again_only_after_its_copy(store: Store, add: Any) -> None:
    """Every fill waits for the slot's event first, and every copy records it after."""
    add("a", "conv")
    block = store.model("a").blocks[2]  # Conv2d(8, 16, 3): 4608 bytes
    placement = place(block)
    log: list[str] = []

    def event() -> Recorder:
        one = Recorder()
        one.log = log
        return one

    ring = StagingRing(1024, 2, events=event)
    target = torch.empty(placement.size, dtype=torch.uint8)
    ring.load(job_of(store, block, target).read, target)
    assert log == ["wait", "record"] * 5  # 4608 bytes in parts of 1024


def test_available_memory_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux' estimate, in bytes; half of the memory where there is none; never more than all, nor
    than what a container's limit leaves."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_bytes() <= whole
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(device, "_MEMINFO", meminfo)
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    assert available_bytes() == whole // 2
    meminfo.write_text("MemTotal: 900 kB\n")
    assert available_bytes() == whole // 2
    meminfo.write_text("MemTotal: 900 kB\nMemFree: 7 kB\nMemAvailable: 42 kB\n")
    assert available_bytes() == 42 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available_bytes() == 42 * 1024
    (tmp_path / "memory.max").write_text("21000\n")
    assert available_bytes() == 20_000


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_switching_on_cuda(store: Store, add: Any, tmp_path: Path) -> None:
    """On a CUDA device, after many switches, weights are the stored ones and outputs agree."""
    states = {name: add(name, "conv", seed) for seed, name in enumerate("abc")}
    x = torch.randn(4, 3, 9, 9)
    with Runtime(store, "cuda") as runtime, Runtime(store) as host:
        for name in "abcabcacb" * 5:
            runtime.switch(name)
            host.switch(name)
            out = runtime.infer(name, x).cpu()
            torch.testing.assert_close(out, host.infer(name, x), rtol=1e-3, atol=1e-3)
            for key, tensor in runtime.tensors(name).items():
                assert torch.equal(tensor.cpu(), states[name][key])

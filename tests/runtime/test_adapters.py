"""Batches that mix adapters of one base."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from tests.store.lora_folders import (
    libraries,
    load_adapted,
    save_adapter,
    save_bert,
)
from trunkline.errors import ArchitectureError, InputError, MemoryBudgetError
from trunkline.runtime import Runtime
from trunkline.runtime.adapters import MixedAdapters
from trunkline.store import Architecture, Store, open_adapter

libraries()
NAMES = ("one", "two", "three")


@pytest.fixture
def saved(store: Store, tmp_path: Path) -> Path:
    """A folder with a base and three adapters of it, all in the store."""
    base = save_bert(tmp_path / "base")
    store.add("base", base)
    for i, name in enumerate(NAMES):
        folder = save_adapter(tmp_path / name, base, seed=i, task_type="SEQ_CLS")
        store.add(name, open_adapter(store, "base", folder))
    return tmp_path


def architecture(store: Store, name: str = "one") -> Architecture:
    """How a model of the store is built."""
    found = store.model(name).architecture
    assert found is not None
    return found


def test_each_sample_is_answered_by_its_own_adapter(store: Store, saved: Path) -> None:
    """Rows are what each adapter answers alone (up to sums in another order), and bit-equal to
    PEFT's own mixed batch; adapters take turns in the seats; only missing blocks are moved."""
    tokens = torch.randint(0, 60, (6, 8))
    alone = {name: load_adapted(saved / "base", saved / name) for name in NAMES}
    reference = load_adapted(saved / "base", saved / "one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            reference.load_adapter(saved / name, name)
    reference.eval()
    with Runtime(store, memory_bytes=10**6) as runtime:
        mixed = MixedAdapters(runtime, architecture(store), seats=2)
        for names in (
            ["one", "two", "one", "two", "two", "one"],
            ["three", "two", "three", "two", "three", "three"],
            ["one"] * 6,
        ):
            found = mixed.infer(names, {"input_ids": tokens}).logits
            with torch.inference_mode():
                together = reference(input_ids=tokens, adapter_names=names).logits
                rows = [alone[name](input_ids=tokens[i : i + 1]) for i, name in enumerate(names)]
            assert torch.equal(found, together)
            wanted = torch.cat([row.logits for row in rows])
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        whole = store.model("base").bytes
        own = store.model("one").bytes - whole
        assert runtime.resident_bytes == whole + 3 * own


def test_blocks_that_left_and_came_back(store: Store, saved: Path) -> None:
    """After everything was evicted and loaded elsewhere, a batch is answered as before."""
    tokens = {"input_ids": torch.randint(0, 60, (2, 8))}
    with Runtime(store, memory_bytes=10**6) as runtime:
        mixed = MixedAdapters(runtime, architecture(store))
        before = mixed.infer(["one", "two"], tokens).logits.clone()
        runtime.clear()
        runtime.switch("three")
        assert torch.equal(mixed.infer(["one", "two"], tokens).logits, before)


def test_batches_that_are_refused(store: Store, saved: Path) -> None:
    """More adapters than seats, none, another architecture, more than memory holds."""
    base = saved / "base"
    other = save_adapter(saved / "other", base, r=2, task_type="SEQ_CLS")
    store.add("other", open_adapter(store, "base", other))
    tokens = {"input_ids": torch.randint(0, 60, (3, 8))}
    with Runtime(store, memory_bytes=store.model("one").bytes) as runtime:
        mixed = MixedAdapters(runtime, architecture(store), seats=2)
        with pytest.raises(InputError, match="3 adapters in one batch; there are 2 seats"):
            mixed.infer(NAMES, tokens)
        with pytest.raises(InputError, match="0 adapters"):
            mixed.infer([], tokens)
        for name in ("other", "base"):
            with pytest.raises(InputError, match=f"'{name}' is not BertFor.*: not mixed"):
                mixed.infer(["one", name, "one"], tokens)
        with pytest.raises(MemoryBudgetError):
            mixed.infer(["one", "two", "one"], tokens)
        with pytest.raises(ArchitectureError, match="has no adapter"):
            MixedAdapters(runtime, architecture(store, "base"))
        with pytest.raises(InputError, match="at least one"):
            MixedAdapters(runtime, architecture(store), seats=0)

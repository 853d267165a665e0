"""Batches that mix adapters of one base."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.store.lora_folders import (
    libraries,
    load_adapted,
    save_adapter,
    save_bert,
)
from trunkline.errors import ArchitectureError, InputError
from trunkline.runtime import mixing
from trunkline.runtime.adapters import SEATS, Seats
from trunkline.runtime.mixing import MixingRuntime
from trunkline.store import Store, open_adapter

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


def tokens(samples: int) -> dict[str, torch.Tensor]:
    """A batch."""
    return {"input_ids": torch.randint(0, 60, (samples, 8))}


def bring(runtime: MixingRuntime, names: Iterable[str] = NAMES) -> None:
    """Make models resident."""
    for name in names:
        runtime.switch(name)


def logits(result: Any) -> torch.Tensor:
    """What a classifier answered."""
    found: torch.Tensor = result.logits
    return found


def test_each_sample_is_answered_by_its_own_adapter(
    store: Store, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are what each adapter answers alone (up to sums in another order), and bit-equal to
    PEFT's own mixed batch, also where adapters take turns in two seats."""
    batch = tokens(6)
    alone = {name: load_adapted(saved / "base", saved / name) for name in NAMES}
    reference = load_adapted(saved / "base", saved / "one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            reference.load_adapter(saved / name, name)
    reference.eval()
    monkeypatch.setattr(mixing, "Seats", lambda *given: Seats(*given, seats=2))
    with MixingRuntime(store, memory_bytes=10**6) as runtime:
        bring(runtime)
        for names in (
            ["one", "two", "one", "two", "two", "one"],
            ["three", "two", "three", "two", "three", "three"],
            ["one"] * 6,
        ):
            found = logits(runtime.infer_mixed(names, batch))
            with torch.inference_mode():
                together = logits(reference(**batch, adapter_names=names))
                rows = [
                    logits(alone[name](batch["input_ids"][i : i + 1]))
                    for i, name in enumerate(names)
                ]
            assert torch.equal(found, together)
            torch.testing.assert_close(found, torch.cat(rows), rtol=1e-4, atol=1e-5)
        with pytest.raises(InputError, match="3 adapters in one batch; there are 2 seats"):
            runtime.infer_mixed(NAMES, tokens(3))


def test_blocks_that_left_and_came_back(store: Store, saved: Path) -> None:
    """Evicted blocks are let go by the seats, and a batch is answered as before once they are
    back in other memory."""
    batch = tokens(2)
    with MixingRuntime(store, memory_bytes=10**6) as runtime:
        bring(runtime)
        before = logits(runtime.infer_mixed(["one", "two"], batch)).clone()
        runtime.clear()
        seats = next(iter(runtime._seats.values()))
        assert all(parameter.is_meta for parameter in seats.module.parameters())
        with pytest.raises(InputError, match="'one' is not resident"):
            runtime.infer_mixed(["one", "two"], batch)
        bring(runtime, reversed(NAMES))
        assert torch.equal(logits(runtime.infer_mixed(["one", "two"], batch)), before)


def test_what_computes_is_not_evicted(store: Store, saved: Path) -> None:
    """While a mixed batch computes, the blocks of all its models stay, whoever wants them gone."""
    with MixingRuntime(store, memory_bytes=10**6) as runtime:
        bring(runtime)
        wanted = {one.digest for name in ("one", "two") for one in runtime.stored(name).blocks}
        runtime.prepare_mixed("one")
        seats, left = next(iter(runtime._seats.values())), []

        def evict(*_: Any) -> None:
            runtime.evict(runtime.resident)
            left.append(runtime.resident)

        handle = seats.module.register_forward_pre_hook(evict)
        runtime.infer_mixed(["one", "two"], tokens(2))
        handle.remove()
        assert left == [wanted]
        runtime.evict(runtime.resident)
        assert not runtime.resident


def test_only_adapters_of_one_base_mix(store: Store, saved: Path, tmp_path: Path) -> None:
    """Another rank, no adapter, and another base of the same architecture are refused; the last
    would be answered with the first one's base."""
    base = saved / "base"
    other = save_adapter(saved / "other", base, r=2, task_type="SEQ_CLS")
    store.add("other", open_adapter(store, "base", other))
    store.add("base2", save_bert(tmp_path / "base2", seed=9))
    store.add("twin", open_adapter(store, "base2", saved / "one"))
    with MixingRuntime(store, memory_bytes=10**6) as runtime:
        bring(runtime, (*NAMES, "other", "base", "twin"))
        assert runtime.stored("twin").architecture == runtime.stored("one").architecture
        keys = {name: runtime.mixing_key(name) for name in ("one", "two", "other", "base", "twin")}
        assert keys["base"] is None
        assert keys["one"] == keys["two"]
        assert len(set(keys.values())) == 4
        for name in ("other", "base", "twin"):
            with pytest.raises(InputError, match="not adapters of one base, equal in settings"):
                runtime.infer_mixed(["one", name], tokens(2))
        architecture = runtime.stored("base").architecture
        assert architecture is not None
        with pytest.raises(ArchitectureError, match="has no adapter"):
            Seats(architecture, runtime.device)


def test_a_forward_that_raises_leaves_nothing_behind(store: Store, saved: Path) -> None:
    """After a batch that PEFT refuses, its hooks are gone and the next one is answered."""
    with MixingRuntime(store, memory_bytes=10**6) as runtime:
        bring(runtime)
        batch = tokens(2)
        before = logits(runtime.infer_mixed(["one", "two"], batch))
        with pytest.raises(ValueError, match="Length of `adapter_names`"):
            runtime.infer_mixed(["one", "two", "one"], batch)
        seats = next(iter(runtime._seats.values()))
        assert not any(one._forward_pre_hooks for one in seats.module.modules())
        assert torch.equal(logits(runtime.infer_mixed(["one", "two"], batch)), before)
        assert seats.seats == SEATS

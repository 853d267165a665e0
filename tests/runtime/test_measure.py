"""Measuring: what a profile says is what was there to measure (never how fast it was)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.test_runtime import bottom
from trunkline.errors import InputError, MemoryBudgetError, NotInStoreError, ProfileError
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.measure import Settings, measure
from trunkline.runtime.pages import can_map
from trunkline.runtime.peak import _highest, peak_bytes
from trunkline.runtime.profile import load_profile
from trunkline.store import InputSpec, Store

SPEC = InputSpec((3, 8, 8))
QUICK = Settings(batches=(1, 2, 4), rounds=3, limit_s=0.0)


def test_a_store_is_measured(store: Store, add: Any, tmp_path: Path) -> None:
    """One entry an architecture, whichever and however many its models; the bare one is left out
    with a note; the document can be read back."""
    a = add("a", "conv", 0, input=SPEC)
    add("b", "conv", 1, a, bottom, input=SPEC)
    add("words", "encoder", 2, input=InputSpec((7,), "int64", 31))
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    told: list[tuple[int, int, str]] = []
    found = measure(store, settings=QUICK, tell=lambda *what: told.append(what))
    labels = sorted(one.label for one in found.computing)
    assert labels == ["tiny_models:conv()", "tiny_models:encoder()"]
    assert any("'bare'" in note for note in found.notes)
    for one in found.computing:
        assert one.seconds.keys() == one.peak_bytes.keys() == {1, 2, 4}
        assert all(seconds > 0 for seconds in one.seconds.values())
    assert {one.input for one in found.computing} == {"3x8x8:float32", "7:int64:31"}
    assert {one.weights for one in found.computing} == {"F32", "F32+I64"}
    assert found.warm.loads >= 10
    assert found.warm.largest_bytes <= max(store.model(n).bytes for n in ("a", "words"))
    assert found.machine["threads"] == torch.get_num_threads()
    assert found.machine["blocks"] == ("mapped" if can_map() else "copied")
    assert found.max_batch(store.model("b")) >= 1
    assert all(0 <= done <= of for done, of, _ in told)
    found.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json") == found


def test_one_model_alone_can_be_measured(store: Store, add: Any) -> None:
    """Its partial loads are of parts that were let go."""
    add("a", "conv", 0, input=SPEC)
    found = measure(store, ["a"], settings=replace(QUICK, copy=True))
    assert found.machine["blocks"] == "copied"
    assert found.warm.loads >= 9
    assert found.warm.smallest_bytes < store.model("a").bytes


def test_models_that_cannot_be_measured(store: Store, add: Any) -> None:
    """A bare model by name, a store without any other, and a forward that fails: each says why."""
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    with pytest.raises(ProfileError, match="'bare' was imported without an architecture"):
        measure(store, ["bare"], settings=QUICK)
    with pytest.raises(ProfileError, match=r"has no model that can be measured.*'bare'"):
        measure(store, settings=QUICK)
    add("wrong", "conv", 0, input=InputSpec((9,)))
    with pytest.raises(InputError, match=r"'wrong' does not run on a batch of shape \[1, 9\]"):
        measure(store, ["wrong"], settings=QUICK)
    with pytest.raises(NotInStoreError, match="'gone'"):
        measure(store, ["gone"], settings=QUICK)


def test_a_bad_model_keeps_no_other_from_being_measured(store: Store, add: Any) -> None:
    """A model with a bound beyond its vocabulary (which random values may well not find) is named
    itself, and left out with a note where no model was named; those of the same architecture with
    a right bound, and of others, are measured."""
    right, wrong = InputSpec((7,), "int64", 31), InputSpec((7,), "int64", 32)
    add("a-good", "encoder", 0, input=right)
    add("b-bad", "encoder", 1, input=wrong)
    add("c-good", "encoder", 2, input=right)
    add("d-huge", "encoder", 3, input=InputSpec((10**12,), "int64", 31))
    found = measure(store, settings=QUICK)
    left_out = [note for note in found.notes if note.startswith("left out")]
    assert len(left_out) == 2
    assert "model 'b-bad' does not run" in left_out[0]
    assert "model 'd-huge'" in left_out[1]
    assert [one.input for one in found.computing] == ["7:int64:31"]
    assert found.computing_of(store.model("c-good")) is found.computing_of(store.model("a-good"))
    with pytest.raises(ProfileError, match="'b-bad'"):
        found.computing_of(store.model("b-bad"))
    with pytest.raises(InputError, match="model 'b-bad' does not run"):
        measure(store, ["a-good", "b-bad"], settings=QUICK)


def test_a_damaged_model_is_left_out_too(store: Store, add: Any) -> None:
    """A blob that is cut short is no reason to measure nothing."""
    add("good", "conv", 0, input=SPEC)
    add("torn", "conv", 1, input=SPEC)
    blob = store.blob_path(max(store.model("torn").blocks, key=lambda one: one.size).digest)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1])
    found = measure(store, settings=QUICK)
    assert [note for note in found.notes if "left out" in note and "'torn'" in note]
    assert len(found.computing) == 1


def test_models_too_large_for_the_memory_are_told_of(store: Store, add: Any) -> None:
    """Weights beyond the memory: not measured, with name, bytes and memory; weights that leave no
    room for one task's activations: measured, with a note that they cannot be planned."""
    add("small", "conv", 0, input=SPEC)
    add("words", "encoder", 1, input=InputSpec((7,), "int64", 31))
    small, words = (store.model(name).bytes for name in ("small", "words"))
    assert small < words
    memory = Settings((1, 2), 3, 0.0, memory_bytes=words - 1, cold=False)
    found = measure(store, settings=memory)
    assert [one.label for one in found.computing] == ["tiny_models:conv()"]
    assert any("left out: model 'words' has" in note for note in found.notes)
    with pytest.raises(MemoryBudgetError, match=r"'words' has .* does not fit into the memory"):
        measure(store, ["words"], settings=memory)
    tight = measure(store, settings=Settings((1, 2), 3, 0.0, memory_bytes=small, cold=False))
    assert any("cannot be planned: model 'small' needs" in note for note in tight.notes)


def test_peak_memory_is_the_highest_running_sum() -> None:
    """+3 +4 -3 +1 peaks at 7, in order of time and not of the file."""
    changes = [(4, -3), (1, 3), (2, 4), (5, 1)]
    events = [{"name": "[memory]", "ts": t, "args": {"Bytes": b}} for t, b in changes]
    assert _highest([*events, {"name": "aten::add"}]) == 7


def test_peak_memory_covers_the_activations(store: Store, add: Any) -> None:
    """The first convolution alone makes 8 x 8 x 8 floats a task; more tasks need more."""
    add("a", "conv", 0, input=SPEC)
    with Runtime(store) as runtime:
        runtime.switch("a")
        small, large = (peak_bytes(runtime, "a", torch.zeros(n, 3, 8, 8)) for n in (2, 32))
    assert small >= 2 * 8 * 8 * 8 * 4
    assert large > small

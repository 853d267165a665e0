"""Weights in several files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trunkline.store import Store
from trunkline.store.shards import open_shards


def test_shards_are_one_model(
    store: Store,
    write_file: Callable[..., Path],
    tmp_path: Path,
    contents: Callable[..., dict[str, Any]],
) -> None:
    """Tensors from all shards in natural order, a module across two shards in one block."""
    write_file({"l1.w": np.ones(2, "<f4"), "l0.b": np.zeros(1, "<f4")}, "s/two.safetensors")
    extra = {"l0.w": np.full(3, 7, "<f4"), "unused": np.zeros(1, "<f4")}
    write_file(extra, "s/one.safetensors", {"k": "v"})
    weight_map = {"l0.w": "one.safetensors", "l0.b": "two.safetensors", "l1.w": "two.safetensors"}
    index = tmp_path / "s" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    report = store.add("m", index)
    model = store.model("m")
    assert [block.id for block in model.blocks] == ["l0", "l1"]
    assert contents(store, model)["l0.w"][2] == np.full(3, 7, "<f4").tobytes()
    assert model.metadata == {"k": "v"}
    assert "unused" in report.notes[0]
    assert store.add("folder", tmp_path / "s").bytes_new == 0


def test_shards_are_closed(write_file: Callable[..., Path], tmp_path: Path) -> None:
    """Closing the source closes every shard."""
    write_file({"a": np.ones(2, "<f4")}, "s/one.safetensors")
    index = tmp_path / "s" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))
    source = open_shards(index)
    source.close()
    assert source.tensors[0].reader._fd == -1  # type: ignore[attr-defined]

"""What the store's tests share: stores, files, and tensors in memory."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trunkline.store import Store, StoredModel, Tensors

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I8": "|i1", "F16": "<f2", "BOOL": "?"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(tmp_path / "store", create=True)


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of `own_nets.py` in the current directory, under a name of its own; that name."""
    name = f"nets_{abs(hash(str(tmp_path)))}"
    shutil.copyfile(Path(__file__).parent / "own_nets.py", tmp_path / f"{name}.py")
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def layered() -> Callable[..., Tensors]:
    """Makes a model of some layers (`w` and `b` each); a layer's values follow from its seed."""

    def make(*seeds: int, size: int = 8) -> Tensors:
        tensors = []
        for i, seed in enumerate(seeds):
            random = np.random.default_rng(seed)
            for name, shape in (("w", (size, size)), ("b", (size,))):
                values = random.standard_normal(shape).astype("<f4")
                tensors.append((f"layer{i}.{name}", "F32", shape, values))
        return Tensors(tensors)

    return make


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a safetensors file by hand: name -> array, in this order of offsets."""

    def write(
        arrays: Mapping[str, np.ndarray[Any, Any]],
        name: str = "model.safetensors",
        metadata: dict[str, str] | None = None,
        header_order: list[str] | None = None,
        dtypes: Mapping[str, str] | None = None,
    ) -> Path:
        entries: dict[str, Any] = {}
        data = b""
        for key, array in arrays.items():
            dtype = (dtypes or {}).get(key) or next(
                one for one, code in DTYPES.items() if np.dtype(code) == array.dtype
            )
            raw = array.tobytes()
            entries[key] = {
                "dtype": dtype,
                "shape": list(array.shape),
                "data_offsets": [len(data), len(data) + len(raw)],
            }
            data += raw
        header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
        header |= {key: entries[key] for key in header_order or entries}
        text = json.dumps(header).encode()
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path

    return write


@pytest.fixture
def contents() -> Callable[[Store, StoredModel], dict[str, tuple[str, tuple[int, ...], bytes]]]:
    """Reads every tensor of a model back: name -> (type, shape, bytes)."""

    def read(store: Store, model: StoredModel) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
        found = {}
        for block in model.blocks:
            raw = store.blob_path(block.digest).read_bytes()
            for one in block.tensors:
                begin = block.data_start + one.begin
                found[one.name] = (one.dtype, one.shape, raw[begin : begin + one.bytes])
        return found

    return read

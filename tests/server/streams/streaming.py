"""What the tests of streams share: stores of small models, and a clock that is told the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load

from tests.server.distribution.store_servers import make_store
from trunkline.server.streams.layout import Layout, Placed
from trunkline.store import Store, Tensors
from trunkline.store.model import StoredBlock

ORDER = ("z.weight", "z.bias", "a.weight", "m.count", "b.weight")


def tensors(seed: int, shared: int = 0) -> Tensors:
    """A model whose order of execution is not that of its names, of types of all widths; a number
    of values at the end is odd, so that later data are not aligned."""
    own, base = np.random.default_rng(seed), np.random.default_rng(shared)
    return Tensors(
        [
            ("z.weight", "F32", (40, 30), base.standard_normal((40, 30)).astype("<f4")),
            ("z.bias", "F16", (7,), base.standard_normal(7).astype("<f2")),
            ("a.weight", "U8", (5,), base.integers(0, 255, 5).astype("u1")),
            ("m.count", "I64", (), np.array(3, "<i8")),
            ("b.weight", "F32", (50, 20), own.standard_normal((50, 20)).astype("<f4")),
        ]
    )


def stock(path: Path) -> Store:
    """A store of two models that differ in their last block."""
    return make_store(path, {"one": tensors(1), "two": tensors(2)})


def whole_file(store: Store, name: str) -> dict[str, np.ndarray]:
    """A model's tensors as its block files hold them, by safetensors' reader."""
    found: dict[str, np.ndarray] = {}
    for block in store.model(name).blocks:
        found |= load(store.blob_path(block.digest).read_bytes())
    return found


class Clock:
    """Tells the time that it is told."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def layout_of(sizes: list[int], held: tuple[int, ...] = (), header: int = 100) -> Layout:
    """A layout of blocks of these sizes, whose bytes nobody reads."""
    placed, at = [], header
    for i, size in enumerate(sizes):
        block = StoredBlock(f"b{i}", f"sha256:{i:064x}", size, size, 0, ())
        end = at if i in held else at + size
        placed.append(Placed(block, at, end, i in held))
        at = end
    return Layout("m", "sha256:" + "0" * 64, b" " * header, tuple(placed), at, '"e"')

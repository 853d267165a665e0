"""The store: how fast models come in, and how much room they take.

    python -m benchmarks.store [--repeats 9] [--models 50]

Models have the tensors of a ResNet-50 (107 layers, 320 tensors, 94 MB) with random weights; a
variant keeps the bottom 85 % of the layers and draws the others anew (about 43 % of the bytes).
Files are in the page cache; imports end when everything is synced to the disk, and so does the one
peer that says so. In every repeat all ways are measured once, in turn.

An import of new bytes does three things that share the cores and the disk: it hashes, it fills
pages of the page cache, it syncs. "written in files + fsync" is the last two alone, for the same
sizes of files in as many threads.

Targets: imports at no less than half of the rate at which the same run computes sha256 (one
thread) on the same bytes; all models in the bytes of their distinct tensors + 1 %.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks.measure import Times, Verdict, table, verdict
from trunkline.store import Architecture, Store, Tensors
from trunkline.store.blocks import module_of
from trunkline.store.building import build_skeleton
from trunkline.store.dtypes import ITEM_BYTES
from trunkline.store.importing import WORKERS
from trunkline.store.skeleton import examine

SHARED = 0.85
Array = np.ndarray[Any, Any]


def shapes() -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of a ResNet-50 with ten classes: name -> (type, shape)."""
    factory = "trunkline.experiments.networks:resnet50"
    module = build_skeleton(Architecture("factory", factory, {"num_classes": 10}))
    return dict(examine(module, "resnet50").tensors)


def state(layout: dict[str, tuple[str, tuple[int, ...]]], variant: int) -> dict[str, Array]:
    """Random weights: variant 0 is the backbone, the others share its bottom layers."""
    layers = list(dict.fromkeys(module_of(name) for name in layout))
    bottom = set(layers[: round(SHARED * len(layers))])
    backbone, own = np.random.default_rng(0), np.random.default_rng(variant)
    arrays: dict[str, Array] = {}
    for name, (dtype, shape) in layout.items():
        if dtype == "I64":
            arrays[name] = np.zeros(shape, "<i8")
            continue
        draw = backbone if module_of(name) in bottom else own
        arrays[name] = draw.standard_normal(shape, dtype=np.float32)
    return arrays


def tensors(arrays: dict[str, Array]) -> Tensors:
    """For `Store.add`."""
    kinds = {"float32": "F32", "int64": "I64"}
    return Tensors([(k, kinds[str(v.dtype)], v.shape, v) for k, v in arrays.items()])


def rates(
    folder: Path, layout: dict[str, tuple[str, tuple[int, ...]]], repeats: int
) -> list[Verdict]:
    """Time the ways to bring a model in; print them and return the verdicts."""
    first, second = folder / "first.safetensors", folder / "second.safetensors"
    save_file(state(layout, 0), first)
    save_file(state(layout, 1), second)
    size = first.stat().st_size
    held = memoryview(first.read_bytes())
    sizes = block_bytes(layout)
    measured: dict[str, list[float]] = {}

    def timed(way: str, action: Callable[[], object]) -> None:
        started = time.perf_counter()
        action()
        measured.setdefault(way, []).append(time.perf_counter() - started)

    for repeat in range(repeats + 1):
        path = folder / f"store{repeat}"
        store = Store.open(path, create=True)
        timed("sha256, 1 thread", lambda: hashlib.sha256(held).digest())
        timed("sha256, all cores", lambda: hash_in_threads(held))
        timed("import, everything new", lambda: store.add("a", first))  # noqa: B023
        timed("import, a variant", lambda: store.add("b", second))  # noqa: B023
        timed("import, nothing new", lambda: store.add("c", first))  # noqa: B023
        timed("verify", store.verify)
        timed("written in files + fsync", lambda: write_files(held, sizes, path))  # noqa: B023
        timed("copyfile + sha256, no sync", lambda: copy_and_hash(first, folder / "copy", False))
        timed("copyfile + sha256 + fsync", lambda: copy_and_hash(first, folder / "copy", True))
        shutil.rmtree(path)
        if not repeat:
            measured.clear()
    times = {way: Times(tuple(seconds)) for way, seconds in measured.items()}
    one = times["sha256, 1 thread"].median
    rows = []
    for way, found in times.items():
        # `verify` reads the distinct blocks of both models.
        mega = size / 1e6 if way != "verify" else size / 1e6 * (1 + fresh(layout))
        ratio = (mega / found.median) / (size / 1e6 / one)
        rows.append([way, found.spread(), f"{mega / found.median:.0f}", f"{ratio:.2f}"])
    print(f"a model of {size / 1e6:.1f} MB, {repeats} repeats, medians (quartiles)\n")
    print(table(["way", "ms", "MB/s", "of sha256, 1 thread"], rows))
    print()
    return [
        verdict(f"{way}, rate over sha256's", one / times[way].median, 0.5, at_least=True)
        for way in ("import, everything new", "import, a variant")
    ]


def fresh(layout: dict[str, tuple[str, tuple[int, ...]]]) -> float:
    """The share of a variant's bytes that its backbone lacks."""
    layers = list(dict.fromkeys(module_of(name) for name in layout))
    top = set(layers[round(SHARED * len(layers)) :])
    sizes = {name: float(np.prod(shape)) for name, (_, shape) in layout.items()}
    return sum(size for name, size in sizes.items() if module_of(name) in top) / sum(sizes.values())


def block_bytes(layout: dict[str, tuple[str, tuple[int, ...]]]) -> list[int]:
    """Bytes of each block."""
    sizes: dict[str, int] = {}
    for name, (dtype, shape) in layout.items():
        size = ITEM_BYTES[dtype] * int(np.prod(shape, dtype=int))
        sizes[module_of(name)] = sizes.get(module_of(name), 0) + size
    return list(sizes.values())


def write_files(content: memoryview, sizes: list[int], folder: Path) -> None:
    """Write so many bytes into as many files, each synced, in the importer's threads."""

    def write(i: int) -> None:
        with (folder / f"plain-{i}").open("wb", buffering=0) as file:
            file.write(content[: sizes[i]])
            os.fdatasync(file.fileno())

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(write, range(len(sizes))))


def hash_in_threads(content: memoryview) -> None:
    """sha256 over as many parts as there are cores."""
    cores = os.cpu_count() or 1
    part = -(-len(content) // cores)
    parts = [content[i : i + part] for i in range(0, len(content), part)]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda one: hashlib.sha256(one).digest(), parts))


def copy_and_hash(source: Path, target: Path, sync: bool) -> None:
    """What keeping a whole file by its digest costs."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        hashlib.file_digest(file, "sha256")
        if sync:
            os.fsync(file.fileno())


def space(folder: Path, layout: dict[str, tuple[str, tuple[int, ...]]], models: int) -> Verdict:
    """Import many variants, compare the store's files with the distinct tensors' bytes."""
    store = Store.open(folder / "many", create=True)
    distinct: dict[bytes, int] = {}
    whole, started, spent = 0, time.perf_counter(), 0.0
    for variant in range(models):
        arrays = state(layout, variant)
        for name, array in arrays.items():
            key = hashlib.sha256(f"{name} {array.dtype} {array.shape}".encode())
            key.update(array)
            distinct[key.digest()] = array.nbytes
            whole += array.nbytes
        begun = time.perf_counter()
        store.add(f"variant-{variant:02d}", tensors(arrays))
        spent += time.perf_counter() - begun
    needed = sum(distinct.values())
    statuses = [path.stat() for path in files(store.path)]
    used, allocated = (
        sum(status.st_size for status in statuses),
        sum(status.st_blocks * 512 for status in statuses),
    )
    rows = [
        ["whole models", f"{whole / 1e6:.1f}", f"{whole / needed:.4f}"],
        ["distinct tensors (by name and content)", f"{needed / 1e6:.1f}", "1"],
        ["the store's files", f"{used / 1e6:.1f}", f"{used / needed:.4f}"],
        ["allocated by the file system", f"{allocated / 1e6:.1f}", f"{allocated / needed:.4f}"],
    ]
    print(f"\n{models} variants in {len(statuses)} files, imported in {spent:.1f} s ", end="")
    print(f"of {time.perf_counter() - started:.1f} s with drawing and counting\n")
    print(table(["bytes", "MB", "of distinct"], rows))
    print()
    over = 100 * (used / needed - 1)
    return verdict(f"percent that {models} variants take over their tensors", over, 1.0)


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--models", type=int, default=50)
    arguments = parser.parse_args()
    layout = shapes()
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        verdicts = rates(Path(folder), layout, arguments.repeats)
        room = space(Path(folder), layout, arguments.models)
    for one in (*verdicts, room):
        print(one)
    return 0 if room.reached else 1


if __name__ == "__main__":
    sys.exit(main())

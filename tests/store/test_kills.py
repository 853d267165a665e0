"""What a kill or a second process may do to an import: nothing that lasts."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trunkline.errors import StoreBusyError
from trunkline.store import Store, Tensors


def importer(store: Path, weights: Path, name: str) -> subprocess.Popen[bytes]:
    """`trunkline import` as its own process."""
    command = [sys.executable, "-m", "trunkline", "import", str(weights), "--json"]
    command += ["--name", name, "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def weights(write_file: Callable[..., Path]) -> Path:
    """120 layers of 64 KiB: enough for a kill to fall between two blobs."""
    values = np.random.default_rng(5)
    return write_file(
        {f"layer{i}.w": values.standard_normal(16_384).astype("<f4") for i in range(120)}
    )


def _wait_for_blobs(process: subprocess.Popen[bytes], blobs: Path, more: int) -> None:
    """Until the process has added so many blobs, or is done."""
    there = len(os.listdir(blobs)) if blobs.exists() else 0
    while process.poll() is None:
        if blobs.exists() and len(os.listdir(blobs)) >= there + more:
            return


@pytest.mark.slow
def test_fifty_kills(weights: Path, tmp_path: Path) -> None:
    """Killed at 50 random moments, the store verifies each time; the next import goes on."""
    path = tmp_path / "store"
    started = time.monotonic()
    first = importer(tmp_path / "trial", weights, "m")
    first.communicate()
    whole_s = time.monotonic() - started
    draw = random.Random(7)
    blobs = path / "blobs" / "sha256"
    before: dict[str, int] = {}
    halfway = 0
    for kill in range(50):
        # Half of the time is the interpreter's start, so most kills fall into the second half; and
        # however busy the machine is, every other kill waits for a few more blobs.
        process = importer(path, weights, "m")
        if kill % 2:
            _wait_for_blobs(process, blobs, draw.randrange(1, 30))
        else:
            time.sleep(draw.uniform(0.4, 1.05) * whole_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if not (path / "oci-layout").exists():
            continue
        store = Store.open(path)
        assert store.verify().ok
        now = {one.name: one.stat().st_ino for one in blobs.iterdir()}
        # What is there stays and is not written again: the same file, not only the same name.
        assert before.items() <= now.items()
        before = now
        halfway += len(now) > 0 and "m" not in store.names()
        if "m" in store.names():
            store.remove("m")
            for one in sorted(blobs.iterdir())[: draw.randrange(130)]:
                one.unlink()
                before.pop(one.name)
    assert halfway > 0  # some kills fell between the first blob and the index
    process = importer(path, weights, "m")
    out, _ = process.communicate()
    assert process.returncode == 0
    report = json.loads(out)
    assert report["blocks"] == 120
    store = Store.open(path)
    assert store.verify().ok
    assert len(store.model("m").blocks) == 120
    store.gc()
    assert list((path / ".trunkline" / "tmp").iterdir()) == []


def test_an_import_resumes(weights: Path, tmp_path: Path) -> None:
    """Killed once some blobs are there, the next import writes only the others."""
    path = tmp_path / "store"
    blobs = path / "blobs" / "sha256"
    process = importer(path, weights, "m")
    while process.poll() is None and not (blobs.is_dir() and any(blobs.iterdir())):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    there = {one.name for one in blobs.iterdir()}
    assert there
    report = Store.open(path).add("m", weights)
    found = {block.digest.removeprefix("sha256:") for block in Store.open(path).model("m").blocks}
    assert report.blocks_new == 120 - len(found & there)


def test_two_imports_at_once(weights: Path, tmp_path: Path) -> None:
    """Two processes that make one store and import the same blocks under two names both succeed."""
    path = tmp_path / "store"
    both = [importer(path, weights, name) for name in ("a", "b", "c")]
    for process in both:
        out, error = process.communicate()
        assert process.returncode == 0, error.decode()
        assert json.loads(out)["bytes_in"] == 120 * 65_536
    store = Store.open(path)
    assert store.names() == ["a", "b", "c"]
    assert store.verify().ok
    assert len(store.library().blocks) == 120


def test_imports_from_threads(store: Store, layered: Callable[..., Tensors]) -> None:
    """One Store object serves several threads; every model arrives."""
    from concurrent.futures import ThreadPoolExecutor

    def add(i: int) -> Any:
        return store.add(f"m{i}", layered(1, 2, i))

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(add, range(12)))
    assert len(reports) == 12
    assert store.names() == sorted(f"m{i}" for i in range(12))
    assert store.verify().ok
    assert store.gc().blobs == 0


def test_gc_beside_an_import(store: Store, weights: Path) -> None:
    """At every moment of an import, whose blobs no model names yet, gc is refused; it would take
    them all. Afterwards it finds nothing to free."""
    seen = []

    def collect_now(done: int, total: int) -> None:
        with pytest.raises(StoreBusyError):
            Store.open(store.path).gc(wait_s=0)
        seen.append(len(list((store.path / "blobs" / "sha256").iterdir())))

    store.add("m", weights, progress=collect_now)
    assert len(seen) >= 120
    assert max(seen) > 60  # blobs were there to be taken
    assert store.gc().blobs == 0
    assert store.verify().ok


@pytest.mark.slow
def test_gc_again_and_again_beside_imports(weights: Path, tmp_path: Path) -> None:
    """Imports of other processes and gc take turns: gc gets its turn and takes none of theirs."""
    path = tmp_path / "store"
    store = Store.open(path, create=True)
    store.add("gone", weights)
    store.remove("gone")  # its blobs are garbage that the imports want
    collected = refused = 0
    for turn in range(4):
        process = importer(path, weights, f"m{turn}")
        while process.poll() is None:
            try:
                collected += store.gc(wait_s=0).blobs
            except StoreBusyError:
                refused += 1
            time.sleep(0.002)
        _, error = process.communicate()
        assert process.returncode == 0, error.decode()
        assert store.verify().ok
        store.remove(f"m{turn}")
    assert collected > 0
    assert refused > 0

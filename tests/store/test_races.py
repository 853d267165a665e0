"""Several processes at one store: making it, importing, removing, collecting, verifying."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.errors import StoreBusyError
from trunkline.store import Store, Tensors
from trunkline.store.layout import Layout

WORKER = """
import sys
from pathlib import Path
from trunkline.store import Store, Tensors

def model(*values):
    return Tensors([(f"l{i}.w", "U8", (64,), bytes([v]) * 64) for i, v in enumerate(values)])

folder, me, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for i in range(rounds):
    store = Store.open(folder / f"store{i // 20}", create=True)  # a new one now and then
    store.add(f"m{me}", model(0, me))
    store.add(f"kept{me}", model(0, 100 + me), replace=True)
    store.remove(f"m{me}")
"""


@pytest.mark.slow
def test_processes_that_make_import_and_remove_at_once(tmp_path: Path) -> None:
    """Four processes make stores, import and remove side by side, each store from nothing: none
    fails (no process takes another's temporary files), and what must be there is whole."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(me), "100"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    failures = [process.communicate()[1] for process in processes]
    assert failures == [""] * 4
    for path in sorted(tmp_path.glob("store*")):
        store = Store.open(path)
        assert store.names() == [f"kept{me}" for me in range(4)]
        assert store.verify().ok
        store.gc()
        assert len(store.library().blocks) == 5  # the shared layer, and one of each


def test_an_import_that_starts_clears_no_temporary_in_use(
    store: Store, layered: Callable[..., Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another import begins while a file is on its way to its name, in a removal and in the making
    of a store: the file is still there to be renamed."""
    store.add("a", layered(1))
    replace = os.replace

    def beside(source: Path, target: Path) -> None:
        with Layout(next(p for p in source.parents if p.name == ".trunkline").parent).importing():
            replace(source, target)

    monkeypatch.setattr(os, "replace", beside)
    store.remove("a")
    assert store.names() == []
    assert Store.open(store.path.parent / "second", create=True).names() == []


def test_gc_keeps_away_from_a_verification(store: Store, layered: Callable[..., Tensors]) -> None:
    """While blobs are verified none is removed, so that a blob reported missing is missing."""
    store.add("a", layered(1))
    store.remove("a")
    refused = []

    def progress(done: int, total: int) -> None:
        with pytest.raises(StoreBusyError, match="verification") as busy:
            store.gc(wait_s=0)
        refused.append(busy)

    assert store.verify(progress=progress).ok
    assert refused
    assert store.gc().blobs > 0

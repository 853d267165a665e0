"""What a kill may do to a pull: nothing that lasts."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest

from tests.registries import DockerRegistry
from tests.store.registry.conftest import connect
from trunkline.store import Store, Tensors

PRELOADED = ["trunkline.store.registry.pulling", "tests.store.registry.conftest"]


def pull(store: Path, host: str, repository: str) -> None:
    """The model, as a process of its own pulls it."""
    Store.open(store, create=True).pull(connect(host, repository), "m", "m")


@pytest.mark.slow
def test_fifty_kills(registry: DockerRegistry, store: Store, other: Store) -> None:
    """Killed at 50 random moments, the store verifies each time, nothing that is there is written
    again, and a blob that was half there is gone on with."""
    values = np.random.default_rng(5)
    layers = [values.standard_normal(200_000).astype("<f4") for _ in range(16)]
    store.add("m", Tensors([(f"layer{i}.w", "F32", (200_000,), w) for i, w in enumerate(layers)]))
    target = connect(registry.host, "killed")
    store.push("m", target, "m")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOADED)
    started = time.monotonic()
    whole = processes.Process(
        target=pull, args=(other.path.parent / "trial", registry.host, "killed")
    )
    whole.start()
    whole.join()
    whole_s = time.monotonic() - started
    draw = random.Random(7)
    blobs, partials = other.path / "blobs" / "sha256", other.path / ".trunkline" / "partial"
    before: dict[str, int] = {}
    halfway = begun = 0
    for _ in range(50):
        process = processes.Process(target=pull, args=(other.path, registry.host, "killed"))
        process.start()
        process.join(draw.uniform(0, whole_s))
        process.kill()
        process.join()
        assert other.verify().ok
        now = {one.name: one.stat().st_ino for one in blobs.iterdir()}
        assert before.items() <= now.items()  # the same files, not only the same names
        before = now
        begun += partials.is_dir() and any(one.stat().st_size for one in partials.iterdir())
        halfway += bool(now) and "m" not in other.names()
        if "m" in other.names():
            other.remove("m")
            for one in sorted(blobs.iterdir()):
                one.unlink()
            before = {}
    assert halfway  # some kills fell between the first blob and the index,
    assert begun  # and some into the middle of a blob
    other.pull(target, "m", "m")
    assert other.verify().ok
    assert other.model("m") == store.model("m")
    assert list(partials.iterdir()) == []

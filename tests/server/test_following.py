"""Models that come into the store, change or leave it while a server runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.registries import docker_registry
from trunkline.server.engine import LocalEngine
from trunkline.server.opening import open_engine
from trunkline.store import InputSpec, Store
from trunkline.store.registry import Reference, open_repository

FOUR = InputSpec((4,))


def answer(engine: LocalEngine, model: str) -> torch.Tensor:
    """What a model says to ones."""
    x = torch.ones(1, 4)
    return engine.submit(model, {"x": x}, time.monotonic() + 20).result(20).outputs["output"]


def following_by_hand(store: Store) -> LocalEngine:
    """An engine that looks at its store only where the test says so."""
    engine = open_engine(store)
    engine._following.stop()
    engine._following.thread.join()
    return engine


@pytest.mark.parametrize("how", ["loaded", "found", "changed"])
def test_a_network_is_built_beside_requests(store: Store, add: Any, how: str) -> None:
    """While the network of a model that comes or changes is built, other models answer."""
    add("a", "summing", input=FOUR)
    if how == "changed":
        add("b", "fussy", input=FOUR)
    import tiny_models

    engine = following_by_hand(store)
    with ThreadPoolExecutor(2) as pool:
        try:
            if how == "changed":
                store.remove("b")
            add("b", "slowly_built", input=FOUR)
            come = engine._following.refresh if how != "loaded" else lambda: engine.load("b")
            coming = pool.submit(come)
            assert tiny_models.BUILDING.wait(10)
            pool.submit(answer, engine, "a").result(10)
            assert not coming.done()
            tiny_models.BUILT.set()
            coming.result(10)
            assert answer(engine, "b").shape == (1, 4)
        finally:
            tiny_models.BUILT.set()
            engine.close()


def test_a_model_that_is_pulled_is_served(store: Store, add: Any, tmp_path: Path) -> None:
    """A pull into the store of a running server is taken in as an import is, a newer one under the
    same name too."""
    add("a", "summing", input=FOUR)
    add("b", "summing", input=FOUR)
    add("c", "fussy", input=FOUR)
    with docker_registry(tmp_path) as registry:
        origin = open_repository(Reference.parse(f"oci://{registry.host}/models"), insecure=True)
        for name in ("b", "c"):
            store.push(name, origin, name)
            store.remove(name)
        engine = following_by_hand(store)
        try:
            store.pull(origin, "b", "b")
            engine._following.refresh()
            assert torch.equal(answer(engine, "b"), answer(engine, "a"))
            store.pull(origin, "c", "b", replace=True)
            engine._following.refresh()
            assert engine._state.models["b"].stored.digest == origin.manifest_digest("c")
        finally:
            engine.close()


def test_nothing_is_kept_of_models_that_left(store: Store, add: Any) -> None:
    """Models that come, answer and leave, one unloaded before, leave no trace in the engine."""
    add("a", "summing", input=FOUR)
    engine = following_by_hand(store)
    state: Any = engine._state

    def kept() -> list[int]:
        runtime = state.runtime
        checked, places = runtime._checked, runtime._residents._places
        notes = (runtime._known, runtime._skeletons._built, places, checked._paths, checked._found)
        return [len(one) for one in (*notes, state.loads, engine._following.removed)]

    try:
        answer(engine, "a")
        before = kept()
        for classes in (2, 3):
            add(f"b{classes}", "conv", classes=classes)
            add(f"c{classes}", "fussy", classes, input=FOUR)
            engine._following.refresh()
            state.runtime.verify(f"b{classes}")
            answer(engine, f"c{classes}")
            engine.unload(f"b{classes}")
            store.remove(f"b{classes}")
            store.remove(f"c{classes}")
            engine._following.refresh()
        assert [one.stored.name for one in engine.models()] == ["a"]
        assert kept() == before
    finally:
        engine.close()

"""Threads that share a runtime: who waits for what."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import RLock
from typing import Any

import torch

from trunkline.runtime import Runtime
from trunkline.store import Store


class _Turn:
    """A runtime's turn, which notes when a thread takes it that holds the runtime's lock."""

    def __init__(self, runtime: Any) -> None:
        self._turn = RLock()
        self._lock = runtime._lock
        self.taken = 0
        self.out_of_order = 0

    def __enter__(self) -> None:
        self.taken += 1
        self.out_of_order += self._lock._is_owned()
        self._turn.acquire()

    def __exit__(self, *error: object) -> None:
        self._turn.release()


def test_the_turn_is_never_taken_under_the_lock(store: Store, add: Any) -> None:
    """No call takes the turn while it holds the lock, for which a forward waits in its turn."""
    add("a", "conv")
    runtime: Any = Runtime(store)
    turn = runtime._turn = _Turn(runtime)
    runtime.switch("a")
    runtime.infer("a", torch.randn(1, 3, 9, 9))
    runtime.module("a")
    runtime.clear()
    runtime.close()
    assert turn.taken >= 5
    assert turn.out_of_order == 0


def test_a_network_is_built_beside_the_others_work(store: Store, add: Any) -> None:
    """While one model's network is built, another is switched to, runs and is evicted."""
    add("a", "conv")
    add("b", "slowly_built")
    import tiny_models

    x = torch.randn(1, 3, 9, 9)
    with Runtime(store) as runtime, ThreadPoolExecutor(2) as pool:
        runtime.prepare("a")
        building = pool.submit(runtime.prepare, "b")
        assert tiny_models.BUILDING.wait(10)

        def work() -> int:
            runtime.switch("a")
            runtime.infer("a", x)
            return runtime.evict(runtime.resident)

        try:
            assert pool.submit(work).result(10) == store.model("a").bytes
            assert not building.done()
        finally:
            tiny_models.BUILT.set()
        building.result(10)
        assert runtime.switch("b").bytes_moved == store.model("b").bytes

"""Threads that share a runtime: who waits for what."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, RLock
from typing import Any

import pytest
import torch

from tests.runtime.conftest import normal_output
from trunkline.errors import MemoryBudgetError
from trunkline.runtime import Runtime
from trunkline.runtime.device import HostMemory
from trunkline.store import Store

pytestmark = pytest.mark.usefixtures("each_memory")


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


def test_prefetch_runs_beside_a_forward(store: Store, add: Any) -> None:
    """While one model computes, the blocks that another lacks come in; what the first uses stays,
    and the switch then moves nothing."""
    import tiny_models

    a = add("a", "waiting")
    b = add("b", "waiting", 1)
    x = torch.randn(1, 4)
    with Runtime(store) as runtime, ThreadPoolExecutor(1) as pool:
        runtime.switch("a")
        answer = pool.submit(runtime.infer, "a", x)
        assert tiny_models.BEGUN.wait(10)
        moved = runtime.prefetch("b")
        assert moved.bytes_moved == store.model("b").bytes
        assert runtime.evict(block.digest for block in store.model("a").blocks) == 0
        tiny_models.GO_ON.set()
        assert torch.equal(answer.result(10), normal_output("waiting", a, x))
        assert runtime.switch("b").bytes_moved == 0
        assert torch.equal(runtime.infer("b", x), normal_output("waiting", b, x))


def test_closing_waits_for_a_prefetch(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends as if nobody had closed, and what it brought is let go."""
    add("a", "conv")
    begun, go = Event(), Event()
    load = HostMemory.load

    def slow(*args: Any, **more: Any) -> None:
        begun.set()
        assert go.wait(10)
        load(*args, **more)

    monkeypatch.setattr(HostMemory, "load", slow)
    runtime = Runtime(store)
    with ThreadPoolExecutor(2) as pool:
        fetched = pool.submit(runtime.prefetch, "a")
        assert begun.wait(10)
        closed = pool.submit(runtime.close)
        with pytest.raises(TimeoutError):
            closed.result(0.1)
        go.set()
        assert fetched.result(10).bytes_moved == store.model("a").bytes
        closed.result(10)
    assert not runtime.resident
    assert runtime.resident_bytes == 0


def test_prefetch_does_not_push_out_what_computes(store: Store, add: Any) -> None:
    """Where both do not fit the budget, the prefetch fails and the forward is right."""
    import tiny_models

    a = add("a", "waiting")
    add("b", "waiting", 1)
    x, size = torch.randn(1, 4), store.model("a").bytes
    with Runtime(store, memory_bytes=size) as runtime, ThreadPoolExecutor(1) as pool:
        runtime.switch("a")
        answer = pool.submit(runtime.infer, "a", x)
        assert tiny_models.BEGUN.wait(10)
        with pytest.raises(MemoryBudgetError, match="must stay"):
            runtime.prefetch("b")
        tiny_models.GO_ON.set()
        assert torch.equal(answer.result(10), normal_output("waiting", a, x))


def test_an_abandoned_forward_keeps_nobody_waiting(store: Store, add: Any) -> None:
    """After `abandon`, other variants of the architecture run, on a skeleton of their own; the
    forward that was given up on still ends with its own weights."""
    import tiny_models

    a = add("a", "waiting")
    b = add("b", "waiting", 1)
    x = torch.randn(1, 4)
    with Runtime(store) as runtime, ThreadPoolExecutor(1) as pool:
        runtime.switch("a")
        answer = pool.submit(runtime.infer, "a", x)
        assert tiny_models.BEGUN.wait(10)
        runtime.abandon()
        runtime.switch("b")
        assert not answer.done()
        tiny_models.GO_ON.set()
        assert torch.equal(runtime.infer("b", x), normal_output("waiting", b, x))
        assert torch.equal(answer.result(10), normal_output("waiting", a, x))

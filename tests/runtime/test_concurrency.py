"""Threads that share a runtime: who waits for what."""

from __future__ import annotations

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

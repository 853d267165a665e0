"""What the threads of an engine share: models adopted, what is in memory."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from trunkline.errors import ArchitectureError
from trunkline.server.engine import LocalEngine
from trunkline.server.opening import open_engine
from trunkline.store import InputSpec, Store


def answer(engine: LocalEngine, model: str, x: torch.Tensor) -> None:
    """Wait for a model's answer, and for the end of its batch."""
    engine.submit(model, {"x": x}, time.monotonic() + 20).result(20)


def agrees(engine: LocalEngine) -> bool:
    """Whether all is in memory that the scheduler counts on."""
    state = engine._state
    with state.changing():
        known = state.digests(state.scheduler.resident)
        return state.runtime.resident.issuperset(known)


def test_blocks_without_bytes_stay(store: Store, add: Any) -> None:
    """Looking at the models anew evicts nothing of a model that is all there, not even a block of
    0 bytes."""
    add("a", "partly_empty", input=InputSpec((4,)))
    blocks = {block.digest: block.bytes for block in store.model("a").blocks}
    assert 0 in blocks.values()
    engine = open_engine(store)
    try:
        answer(engine, "a", torch.ones(1, 4))
        with engine._state.changing():
            engine._state.adopt()
            assert engine._state.runtime.resident == blocks.keys()
    finally:
        engine.close()


def test_blocks_that_a_forward_wrote_into_are_known_to_be_gone(store: Store, add: Any) -> None:
    """After a forward that changed its weights, the scheduler knows that they left, and loads them
    for the next request."""
    add("a", "writes")
    engine = open_engine(store)
    try:
        answer(engine, "a", -torch.ones(1, 3))
        with pytest.raises(ArchitectureError, match="writes into its tensor"):
            answer(engine, "a", torch.ones(1, 3))
        assert agrees(engine)
        assert not engine._state.scheduler.is_there(0)
        answer(engine, "a", -torch.ones(1, 3))
        assert agrees(engine)
    finally:
        engine.close()


def test_blocks_that_left_for_a_load_are_known_to_be_gone(store: Store, add: Any) -> None:
    """Where a load evicts other blocks than was planned, the scheduler knows."""
    for seed, name in enumerate("abcd"):
        add(name, "fussy", seed, input=InputSpec((4,)))
    engine = open_engine(store, memory_bytes=2 * store.model("a").bytes)
    try:
        for name in "ab":
            answer(engine, name, torch.ones(1, 4))
        with engine._state.changing():
            engine._state.runtime.evict(block.digest for block in store.model("a").blocks)
            engine._state.runtime.prefetch("c")
        assert not agrees(engine)
        answer(engine, "d", torch.ones(1, 4))
        assert agrees(engine)
    finally:
        engine.close()

"""What the threads of an engine share: models adopted, what is in memory."""

from __future__ import annotations

import time
from typing import Any

import torch

from trunkline.server.opening import open_engine
from trunkline.store import InputSpec, Store


def test_blocks_without_bytes_stay(store: Store, add: Any) -> None:
    """Looking at the models anew evicts nothing of a model that is all there, not even a block of
    0 bytes."""
    add("a", "partly_empty", input=InputSpec((4,)))
    blocks = {block.digest: block.bytes for block in store.model("a").blocks}
    assert 0 in blocks.values()
    engine = open_engine(store)
    try:
        engine.submit("a", {"x": torch.ones(1, 4)}, time.monotonic() + 20).result(20)
        with engine._state.changing():
            engine._state.adopt()
            assert engine._state.runtime.resident == blocks.keys()
    finally:
        engine.close()

"""The order of use, watched by a server before it serves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.runtime.conftest import Adder
from tests.runtime.conftest import _tiny_models_importable as _tiny_models_importable
from tests.runtime.conftest import add as add
from tests.runtime.conftest import store as store
from trunkline.runtime import Runtime
from trunkline.server.opening import open_engine
from trunkline.server.ordering import learn_orders
from trunkline.server.streams.offering import Offer
from trunkline.store import InputSpec, Store

FOUR = InputSpec((4,))


def sent(store: Store, name: str) -> list[str]:
    """The ids of a model's blocks as a device that has never seen it gets them."""
    offer = Offer(store)
    return [one.block.id for one in offer.layout(offer.model(name), frozenset()).blocks]


def test_an_engine_knows_the_order_before_it_serves(store: Store, add: Adder) -> None:
    """From the first stream on blocks come as the forward uses them; a variant that comes later
    needs no other forward."""
    add("m", "backwards", input=FOUR)
    assert sent(store, "m") == ["again", "third", "second"]
    engine = open_engine(store, memory_bytes=10**6)
    engine.close()
    assert sent(store, "m") == ["again", "second", "third"]
    add("later", "backwards", seed=1, input=FOUR)
    assert sent(Store.open(store.path), "later") == ["again", "second", "third"]


def test_models_that_do_not_run_keep_their_order(
    store: Store, add: Adder, caplog: pytest.LogCaptureFixture
) -> None:
    """One without input, one that refuses its own, one that wants another argument, one that is
    damaged: each is told of, and a variant of the damaged one is watched in its place."""
    add("no-input", "conv")
    add("refuses", "backwards", input=InputSpec((9,)))
    add("wants-more", "in_any_order", input=FOUR)
    add("damaged", "needs_data", input=InputSpec((3,)))
    path = store.blob_path(store.model("damaged").blocks[0].digest)
    path.write_bytes(path.read_bytes()[:-4] + b"xxxx")
    add("twin", "needs_data", seed=1, input=InputSpec((3,)))
    with Runtime(store) as runtime, caplog.at_level(logging.WARNING):
        learn_orders(runtime, [store.model(name) for name in store.names()], 60.0)
    known = {name for name in store.names() if store.orders.knows(store.model(name))}
    assert known == {"damaged", "twin"}
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "refuses" in told
    assert "wants-more" in told
    assert path.name in told
    assert len(caplog.records) == 3


def test_a_model_that_would_end_the_program(
    store: Store, add: Adder, caplog: pytest.LogCaptureFixture
) -> None:
    """SystemExit in a forward is told like any other error, and the server starts."""
    add("m", "leaving", input=FOUR)
    with caplog.at_level(logging.WARNING):
        engine = open_engine(store, memory_bytes=10**6)
        engine.close()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2  # one not measured, one not watched
    assert all("SystemExit: 3" in one for one in told)


def test_no_architecture_is_begun_after_the_limit(
    store: Store, add: Adder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server with many large models starts all the same."""
    add("m", "backwards", input=FOUR)
    with Runtime(store) as runtime, caplog.at_level(logging.WARNING):
        learn_orders(runtime, [store.model("m")], -1.0)
    assert not store.orders.knows(store.model("m"))
    assert "model 'm'" in caplog.text

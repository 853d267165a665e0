"""The order of use, recorded once for an architecture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trunkline.store import Architecture, Source, Store, StoredModel, Tensors
from trunkline.store.sources import open_tensors

SAME = Architecture("factory", factory="nets:net")
OTHER = Architecture("factory", factory="nets:net", kwargs={"n": 2})


def add(
    store: Store,
    name: str,
    modules: str,
    architecture: Architecture | None = SAME,
    tied: dict[str, str] | None = None,
) -> StoredModel:
    """A model with a block for each letter, in this order."""
    tensors = [
        (f"{one}.w", "F32", (2,), np.array([i, len(name)], "<f4")) for i, one in enumerate(modules)
    ]
    source = Source(open_tensors(Tensors(tensors)).tensors, architecture, tied=tied or {})
    store.add(name, source)
    return store.model(name)


def order(store: Store, model: StoredModel) -> str:
    """The letters of a model's blocks in the order of use."""
    return "".join(block.id for block in store.orders.blocks(model))


def note(store: Store, model: StoredModel, letters: str) -> bool:
    """Note that a forward used these blocks."""
    digests = {block.id: block.digest for block in model.blocks}
    return store.orders.note(model, [digests[one] for one in letters])


def test_an_order_holds_for_all_of_an_architecture(store: Store) -> None:
    """From one forward of one variant, for others and those that come later, in every `Store` of
    the folder; blocks that were not used come last, as in the manifest. Manifests stay as they are.
    """
    one, digest = add(store, "one", "abcd"), store.model("one").digest
    other = add(store, "other", "abcd", OTHER)
    assert not store.orders.knows(one)
    assert order(store, one) == "abcd"
    assert note(store, one, "db")
    again = Store.open(store.path)
    two = add(again, "two", "abcde")
    for there in (store, again):
        assert there.orders.knows(two)
        assert order(there, one) == "dbac"
        assert order(there, two) == "dbace"
        assert order(there, other) == "abcd"
    assert store.model("one").digest == digest
    assert not store.verify().problems


def test_an_order_is_recorded_once(store: Store) -> None:
    """What another forward shows later changes nothing; nor does one that used nothing."""
    model = add(store, "m", "abc")
    assert not note(store, model, "")
    assert note(store, model, "cba")
    assert not note(store, model, "bca")
    assert order(Store.open(store.path), model) == "cba"


def test_a_tied_tensor_counts_under_every_name(store: Store) -> None:
    """A variant that stores it under the other name has it at its first use, too."""
    one = add(store, "one", "abc", tied={"z.w": "c.w"})
    two = add(store, "two", "abz", tied={"c.w": "z.w"})
    note(store, one, "cab")
    assert order(store, two) == "zab"


def test_a_model_without_architecture_has_none(store: Store) -> None:
    """Nothing is recorded, and the manifest's order holds."""
    model = add(store, "m", "abc", None)
    assert not note(store, model, "cba")
    assert order(store, model) == "abc"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"format": "x", "tensors": ["c.w"]}', '{"format": "trunkline/order/1"}'],
)
def test_a_file_that_cannot_be_used_is_written_anew(store: Store, content: str) -> None:
    """It counts as none: the manifest's order holds until the next forward."""
    model = add(store, "m", "abc")
    path = store.path / ".trunkline" / "orders" / f"{SAME.key}.json"
    path.parent.mkdir()
    path.write_text(content)
    assert order(store, model) == "abc"
    assert note(store, model, "cba")
    assert json.loads(path.read_text())["tensors"] == ["c.w", "b.w", "a.w"]


def test_names_that_are_none_are_passed_over(store: Store) -> None:
    """A list of other things than the model's tensors costs time only."""
    model = add(store, "m", "abc")
    path = store.path / ".trunkline" / "orders" / f"{SAME.key}.json"
    path.parent.mkdir()
    path.write_text('{"format": "trunkline/order/1", "tensors": [3, {}, "x", "c.w", "c.w"]}')
    assert order(store, model) == "cab"


def test_a_store_that_cannot_be_written_to_remembers(store: Store, tmp_path: Path) -> None:
    """The order holds for as long as the store is open."""
    model = add(store, "m", "abc")
    (store.path / ".trunkline" / "orders").write_text("in the way")
    assert note(store, model, "cba")
    assert order(store, model) == "cba"
    assert order(Store.open(store.path), model) == "abc"


def test_collecting_garbage_keeps_orders(store: Store) -> None:
    """A model that comes again has its order still."""
    model = add(store, "m", "abc")
    note(store, model, "cba")
    store.remove("m")
    store.gc()
    assert order(Store.open(store.path), add(store, "m", "abc")) == "cba"

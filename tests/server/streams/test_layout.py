"""What a stream consists of."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from tests.server.streams.streaming import ORDER, stock, tensors, whole_file
from trunkline.server.streams.offering import Offer
from trunkline.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two models that share all blocks but the last."""
    return stock(tmp_path_factory.mktemp("layout") / "store")


def stream(store: Store, name: str, have: frozenset[str] = frozenset()) -> bytes:
    """A model's stream."""
    offer = Offer(store)
    layout = offer.layout(offer.model(name), have)
    reader = offer.reader(layout)
    content = bytes(reader.read(0, layout.bytes))
    reader.close()
    assert len(content) == layout.bytes
    return content


def metadata(content: bytes, tmp_path: Path) -> dict[str, str]:
    """`__metadata__`, by safetensors' reader."""
    path = tmp_path / "stream.safetensors"
    path.write_bytes(content)
    with safe_open(path, "np") as file:
        return file.metadata()


def test_stream_is_a_safetensors_file(store: Store) -> None:
    """safetensors' own reader finds every tensor of the model, bit by bit."""
    found, expected = load(stream(store, "one")), whole_file(store, "one")
    assert found.keys() == expected.keys() == set(ORDER)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype


def test_data_lie_in_execution_order(store: Store) -> None:
    """Blocks' data follow one another as the model executes, which no sorting by name gives."""
    content = stream(store, "one")
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    begins = {name: one["data_offsets"][0] for name, one in header.items() if name in ORDER}
    modules = [name.split(".")[0] for name in sorted(begins, key=begins.__getitem__)]
    assert list(dict.fromkeys(modules)) == ["z", "a", "m", "b"]


def test_only_what_is_lacking_is_sent(store: Store) -> None:
    """Who has the other model gets the one block in which they differ; other digests mean
    nothing, and who has all gets a file of no tensor."""
    held = frozenset(block.digest for block in store.model("two").blocks)
    content = stream(store, "one", held | {"sha256:" + "0" * 64})
    assert list(load(content)) == ["b.weight"]
    np.testing.assert_array_equal(load(content)["b.weight"], whole_file(store, "one")["b.weight"])
    assert load(stream(store, "two", held)) == {}


def test_places_of_blocks(store: Store) -> None:
    """Each block's place holds exactly its file's data section."""
    offer = Offer(store)
    layout = offer.layout(offer.model("one"), frozenset())
    content = stream(store, "one")
    for one in layout.blocks:
        file = store.blob_path(one.block.digest).read_bytes()
        assert content[one.begin : one.end] == file[one.block.data_start :]
    assert layout.blocks[-1].end == layout.bytes


def test_digests_can_be_verified_from_the_stream(store: Store, tmp_path: Path) -> None:
    """The header sent for a block and its data together have the block's digest; the list of blocks
    and the manifest are the model's."""
    content = stream(store, "one")
    found = metadata(content, tmp_path)
    heads = json.loads(found["trunkline.headers"])
    model = store.model("one")
    offer = Offer(store)
    for one in offer.layout(model, frozenset()).blocks:
        file = base64.b64decode(heads[one.block.digest]) + content[one.begin : one.end]
        assert "sha256:" + hashlib.sha256(file).hexdigest() == one.block.digest
    assert (found["format"], found["trunkline.model"]) == ("pt", "one")
    assert found["trunkline.manifest"] == model.digest
    assert json.loads(found["trunkline.blocks"]) == [
        [block.digest, [tensor.name for tensor in block.tensors]] for block in model.blocks
    ]


def test_etag_names_the_bytes(store: Store) -> None:
    """Equal streams have one validator (and are one in memory), streams of other bytes another."""
    offer = Offer(store)
    one, two = offer.model("one"), offer.model("two")
    whole = offer.layout(one, frozenset())
    assert offer.layout(one, frozenset({"sha256:" + "1" * 64})) is whole
    others = [
        offer.layout(two, frozenset()).etag,
        offer.layout(one, frozenset({one.blocks[0].digest})).etag,
    ]
    assert len({whole.etag, *others}) == 3


def test_tied_tensors_go_once(tmp_path: Path) -> None:
    """A tensor of two names is in the stream under the one that the store keeps."""
    from trunkline.store import Source

    given = tensors(1)
    store = Store.open(tmp_path / "store", create=True)
    from trunkline.store.sources import open_tensors

    opened = open_tensors(given)
    source = Source(opened.tensors, tied={"head.weight": "z.weight"})
    store.add("tied", source)
    assert store.model("tied").tied == {"head.weight": "z.weight"}
    assert set(load(stream(store, "tied"))) == set(ORDER)

"""Bytes of a stream at any position."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.streams.streaming import stock
from trunkline.errors import CorruptBlobError, StoreError
from trunkline.server.streams.offering import Offer
from trunkline.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two models that share all blocks but the last."""
    return stock(tmp_path_factory.mktemp("reading") / "store")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_part(store: Store, data: st.DataObject) -> None:
    """Whatever part is read, over any borders, it is that part of the whole."""
    offer = Offer(store)
    layout = offer.layout(offer.model("one"), frozenset())
    reader = offer.reader(layout)
    whole = bytes(reader.read(0, layout.bytes))
    begin = data.draw(st.integers(0, layout.bytes))
    count = data.draw(st.integers(0, layout.bytes + 10))
    assert bytes(reader.read(begin, count)) == whole[begin : begin + count]
    reader.close()


def test_blobs_that_change(tmp_path: Path) -> None:
    """A blob of another length, or none, is told and never sent."""
    store = stock(tmp_path / "store")
    offer = Offer(store)
    layout = offer.layout(offer.model("one"), frozenset())
    path = store.blob_path(layout.blocks[0].block.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptBlobError, match="bytes, its model says"):
        offer.reader(layout).read(0, layout.bytes)
    path.unlink()
    with pytest.raises(StoreError):
        offer.reader(layout).read(0, layout.bytes)


def test_without_waiting(store: Store) -> None:
    """What was just read is in memory and comes at once, the same bytes; where the system cannot
    tell (as for some file systems), that is said, and nothing else."""
    offer = Offer(store)
    layout = offer.layout(offer.model("one"), frozenset())
    reader = offer.reader(layout)
    whole = reader.read(0, layout.bytes)
    with suppress(BlockingIOError):
        assert reader.read(0, layout.bytes, wait=False) == whole
    reader.close()

"""A stream taken apart as it comes, in pieces of any length."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.device.stream_server import Harm, Streams
from tests.runtime.conftest import Adder
from trunkline.device.incoming import Expected, Incoming
from trunkline.errors import StreamError
from trunkline.store import Store
from trunkline.store.header import Header
from trunkline.store.manifest import Layer


class Taken:
    """What a stream told on its way."""

    def __init__(self, store: Store, stream: bytes) -> None:
        model = store.model("m")
        blocks = {one.digest: Layer(one.digest, one.size, "") for one in model.blocks}
        expected = Expected(len(stream), model.digest, blocks, "a server")
        self.headers: Mapping[str, Header] = {}
        self.blocks: dict[str, bytes] = {}
        self.incoming = Incoming(expected, self._describe, self._arrive)

    def _describe(self, headers: Mapping[str, Header]) -> None:
        assert not self.blocks
        self.headers = headers

    def _arrive(self, digest: str, content: bytearray) -> None:
        self.blocks[digest] = bytes(content)


@pytest.fixture
def stream(store: Store, add: Adder) -> bytes:
    """Of a model that also has a layer whose weights have no bytes."""
    add("m", "partly_empty")
    streams = Streams(store, Harm())
    streams.open("m", {})
    return streams.streams["1"]


@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_pieces_of_any_length(store: Store, stream: bytes, step: int) -> None:
    """Every block's file comes out as the store has it, in the order of the manifest."""
    taken = Taken(store, stream)
    for at in range(0, len(stream), step):
        assert taken.incoming.left == len(stream) - at
        taken.incoming.feed(stream[at : at + step])
    blocks = store.model("m").blocks
    assert any(block.bytes == 0 for block in blocks)
    assert list(taken.blocks) == [block.digest for block in blocks]
    assert list(taken.headers) == [block.digest for block in blocks]
    for digest, content in taken.blocks.items():
        assert content == store.blob_path(digest).read_bytes()


def test_no_byte_more_than_promised(store: Store, stream: bytes) -> None:
    """What comes after the end is refused before it is looked at."""
    taken = Taken(store, stream)
    taken.incoming.feed(stream[:-1])
    with pytest.raises(StreamError, match="more than"):
        taken.incoming.feed(stream[-1:] + b"x")


def test_a_block_is_told_only_when_it_is_whole(store: Store, stream: bytes) -> None:
    """One byte short, the last block was not told."""
    taken = Taken(store, stream)
    taken.incoming.feed(stream[:-1])
    with_bytes = [block.digest for block in store.model("m").blocks if block.bytes]
    assert with_bytes[-1] not in taken.blocks
    assert set(with_bytes[:-1]) <= set(taken.blocks)

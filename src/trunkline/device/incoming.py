"""The stream, taken apart as it comes: its header, then block after block, each compared with its
digest before anybody sees it.

The stream is one safetensors file: the tensors of the blocks, block after block. Its `__metadata__`
says which tensors make which block (`trunkline.blocks`, a list of [digest, names] in the order of
the data) and holds the beginning of each block's own file (`trunkline.headers`, base64 by digest);
that and the block's data are the bytes whose digest names the block.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trunkline.errors import StreamError
from trunkline.store.header import Header, header_length, parse_header
from trunkline.store.manifest import Layer
from trunkline.store.model import TensorSpec
from trunkline.units import shorten

BLOCKS: Final = "trunkline.blocks"
HEADERS: Final = "trunkline.headers"
MANIFEST: Final = "trunkline.manifest"


@dataclass(frozen=True)
class Expected:
    """What a stream has to hold.

    Attributes:
        size: bytes of the stream.
        manifest: digest of the model's manifest.
        blocks: those that the device lacks, by digest.
        where: the server, for messages.
    """

    size: int
    manifest: str
    blocks: Mapping[str, Layer]
    where: str


@dataclass(frozen=True, slots=True)
class _Coming:
    layer: Layer
    first_bytes: bytes
    header: Header


class Incoming:
    """Takes a stream's bytes in order, in pieces of any length.

    Args:
        described: told the headers of all blocks that come, by digest, when they are known.
        arrived: told of each block, its content (the block's file) right.
    """

    def __init__(
        self,
        expected: Expected,
        described: Callable[[Mapping[str, Header]], None],
        arrived: Callable[[str, bytearray], None],
    ) -> None:
        self.at = 0
        self._expected = expected
        self._described = described
        self._arrived = arrived
        self._head = bytearray()
        self._head_bytes = 8  # until the length is read
        self._coming: list[_Coming] | None = None
        self._next = 0
        self._content = bytearray()
        self._filled = 0
        self._hasher = hashlib.sha256()

    @property
    def left(self) -> int:
        """Bytes that have not come."""
        return self._expected.size - self.at

    @property
    def begun(self) -> int:
        """Bytes of the header, or of the block that is not whole yet."""
        return len(self._head) + (self._filled if self._content else 0)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            WeightsFormatError: the header breaks the format.
            StreamError: more bytes than promised; a header that does not say what was promised; a
                block whose content is not that of its digest.
        """
        if len(piece) > self.left:
            raise StreamError(f"{self._where} sends more than the {self._expected.size} promised")
        view = memoryview(piece)
        while len(view):
            taken = self._take_head(view) if self._coming is None else self._take_data(view)
            self.at += taken
            view = view[taken:]

    # ---- the header ----

    def _take_head(self, view: memoryview) -> int:
        taken = min(self._head_bytes - len(self._head), len(view))
        self._head += view[:taken]
        if len(self._head) == self._head_bytes == 8:
            size = self._expected.size
            self._head_bytes += header_length(bytes(self._head), size, self._where)
        if len(self._head) == self._head_bytes and self._head_bytes > 8:
            header = parse_header(bytes(self._head[8:]), self._expected.size, self._where)
            self._head.clear()
            self._coming = self._understand(header)
            self._described({one.layer.digest: one.header for one in self._coming})
            self._begin()
        return taken

    def _understand(self, header: Header) -> list[_Coming]:
        """The blocks of the stream, compared with what was promised."""
        if header.metadata.get(MANIFEST, self._expected.manifest) != self._expected.manifest:
            raise self._lie("it is of another manifest than was promised")
        listed = _listed(self._json(header, BLOCKS))
        first_bytes = self._json(header, HEADERS)
        if listed is None or not isinstance(first_bytes, dict):
            raise self._lie(f"{BLOCKS!r} or {HEADERS!r} has another form")
        digests = [digest for digest, _ in listed]
        if len(set(digests)) != len(digests) or set(digests) != set(self._expected.blocks):
            lacking = sorted(set(self._expected.blocks) - set(digests))
            what = f"the block {lacking[0]} is missing" if lacking else "it has blocks too many"
            raise self._lie(what)
        tensors = {tensor.name: tensor for tensor in header.tensors}
        coming, base = [], 0
        for digest, names in listed:
            one = self._block(self._expected.blocks[digest], first_bytes.get(digest))
            self._compare(one, names, tensors, base)
            base += one.header.data_bytes
            coming.append(one)
        if base != header.data_bytes or len(tensors) != sum(len(names) for _, names in listed):
            raise self._lie("it has tensors of no block")
        return coming

    def _block(self, layer: Layer, text: Any) -> _Coming:
        place = f"{self._where}: block {layer.digest}"
        try:
            raw = base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise self._lie(f"no beginning of the block {layer.digest}") from None
        length = header_length(raw, layer.size, place)
        if len(raw) != 8 + length:
            raise self._lie(f"the beginning of the block {layer.digest} has another length")
        return _Coming(layer, raw, parse_header(raw[8:], layer.size, place))

    def _compare(
        self, one: _Coming, names: Sequence[str], tensors: Mapping[str, TensorSpec], base: int
    ) -> None:
        """The stream's header must say of a block's tensors what the block's own says."""
        if sorted(names) != sorted(tensor.name for tensor in one.header.tensors):
            raise self._lie(f"other tensors than the block {one.layer.digest} has")
        for own in one.header.tensors:
            said = tensors.get(own.name)
            wanted = TensorSpec(own.name, own.dtype, own.shape, base + own.begin, base + own.end)
            if said != wanted:
                raise self._lie(f"of the tensor {shorten(own.name)!r} other than its block's")

    def _json(self, header: Header, key: str) -> Any:
        try:
            return json.loads(header.metadata[key])
        except (KeyError, ValueError, RecursionError):
            raise self._lie(f"{key!r} is missing or no JSON") from None

    def _lie(self, what: str) -> StreamError:
        return StreamError(f"{self._where}: the stream's header does not hold: {what}")

    # ---- the data ----

    def _begin(self) -> None:
        """Make ready for the next block that has bytes; those without any are complete."""
        while self._coming is not None and self._next < len(self._coming):
            one = self._coming[self._next]
            try:
                self._content = bytearray(one.layer.size)
            except (MemoryError, OverflowError):
                raise StreamError(
                    f"no memory for the block {one.layer.digest} of {one.layer.size} bytes"
                ) from None
            self._filled = len(one.first_bytes)
            self._content[: self._filled] = one.first_bytes
            self._hasher = hashlib.sha256(one.first_bytes)
            if self._filled < one.layer.size:
                return
            self._complete(one.layer.digest)

    def _take_data(self, view: memoryview) -> int:
        taken = min(len(self._content) - self._filled, len(view))
        self._content[self._filled : self._filled + taken] = view[:taken]
        self._hasher.update(view[:taken])
        self._filled += taken
        if self._filled == len(self._content) and self._coming is not None:
            self._complete(self._coming[self._next].layer.digest)
            self._begin()
        return taken

    def _complete(self, digest: str) -> None:
        found = "sha256:" + self._hasher.hexdigest()
        if found != digest:
            raise StreamError(
                f"{self._where} sent {found} as the block {digest}; nothing of it was used"
            )
        content, self._content = self._content, bytearray()
        self._next += 1
        self._arrived(digest, content)

    @property
    def _where(self) -> str:
        return self._expected.where


def _listed(value: Any) -> list[tuple[str, list[str]]] | None:
    """`[[digest, [name, ...]], ...]`, None if it has another form."""
    if not isinstance(value, list):
        return None
    found = []
    for one in value:
        match one:
            case [str(digest), [*names]] if all(isinstance(name, str) for name in names):
                found.append((digest, names))
            case _:
                return None
    return found

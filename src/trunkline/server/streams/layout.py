"""What a stream consists of: a header, then the data of the blocks that the other end lacks.

A stream is one valid safetensors file. A block in a store is a small safetensors file, whose data
section is exactly its tensors' bytes; so the stream's data are the data sections of the blocks,
one after the other in the order of execution, and nothing has to be copied together. Within a block
its tensors lie as in its file, since its digest is of them together. A tied tensor is in one block
only, so it goes once, at its first use. The header's `__metadata__` holds texts:

    format              "pt"
    trunkline.model     the model's name
    trunkline.manifest  the digest of its manifest
    trunkline.blocks    JSON: [digest, [tensor names]] of each block that is sent, in order
    trunkline.headers   JSON: by digest, the first bytes of the block's file up to its data (base64)

so that who receives it can compare sha256(block's header + its data) with the block's digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from trunkline.store.header import encode_header
from trunkline.store.model import StoredBlock, StoredModel, TensorSpec


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and where its data lie in the stream, from `begin` to before `end`.

    Of a block that is held (and so not sent) both are where the next data begin.
    """

    block: StoredBlock
    begin: int
    end: int
    held: bool

    def document(self) -> dict[str, Any]:
        """The block as clients are told of it."""
        found = {"digest": self.block.digest, "size": self.block.size, "held": self.held}
        return found if self.held else {**found, "begin": self.begin, "end": self.end}


@dataclass(frozen=True)
class Layout:
    """A stream of a model.

    Attributes:
        model: the model's name.
        manifest: the digest of its manifest.
        header: the first bytes, eight for the length among them.
        blocks: all of the model's blocks, held ones too, in the order in which they are sent.
        bytes: the length of the stream.
        etag: a strong validator in quotes: equal for equal bytes. The header holds the digests of
            all data and their places, so it is made of the header's digest.
    """

    model: str
    manifest: str
    header: bytes
    blocks: tuple[Placed, ...]
    bytes: int
    etag: str


def lay_out(
    model: StoredModel, head_of: Callable[[StoredBlock], bytes], have: Container[str]
) -> Layout:
    """The stream of a model for somebody who holds some blocks.

    Args:
        model: with its blocks in the order in which they are to be sent.
        head_of: the first bytes of a block's file, up to its data.
        have: digests that are held; others than the model's mean nothing.
    """
    sent = [block for block in model.blocks if block.digest not in have]
    header = _header(model, sent, head_of)
    placed, at = [], len(header)
    for block in model.blocks:
        held = block.digest in have
        end = at if held else at + block.bytes
        placed.append(Placed(block, at, end, held))
        at = end
    etag = f'"{hashlib.sha256(header).hexdigest()}"'
    return Layout(model.name, model.digest, header, tuple(placed), at, etag)


def _header(
    model: StoredModel, sent: list[StoredBlock], head_of: Callable[[StoredBlock], bytes]
) -> bytes:
    specs, at = [], 0
    for block in sent:
        specs += [
            TensorSpec(one.name, one.dtype, one.shape, at + one.begin, at + one.end)
            for one in block.tensors
        ]
        at += block.bytes
    heads = {block.digest: base64.b64encode(head_of(block)).decode() for block in sent}
    names = [[block.digest, [one.name for one in block.tensors]] for block in sent]
    metadata = {
        "format": "pt",
        "trunkline.model": model.name,
        "trunkline.manifest": model.digest,
        "trunkline.blocks": _json(names),
        "trunkline.headers": _json(heads),
    }
    return encode_header(specs, metadata)


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

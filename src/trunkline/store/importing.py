"""Tensors into the store: read, hash, and write what is not there, in a few threads."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from trunkline.errors import StoreError
from trunkline.store.blocks import BlockDraft
from trunkline.store.layout import Layout
from trunkline.store.model import StoredBlock
from trunkline.units import shorten

BUFFER_BYTES: Final = 64 * 2**20
"""A block up to this size is read once, into memory; a larger one in pieces, twice if it is new."""

PIECE_BYTES: Final = 2**20

WORKERS: Final = min(8, (os.cpu_count() or 1) + 2)
"""More than there are cores, since some wait for the disk while others hash."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all), from any thread but one at a time."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A block with its digest, and whether the store lacked it."""

    block: StoredBlock
    new: bool


class BlockWriter:
    """Hashes blocks and writes those that a store lacks.

    Args:
        layout: the store's files; the caller holds `layout.importing()`.
        write: False to hash only and leave the store as it is.
        progress: told of the bytes that are done.
    """

    def __init__(self, layout: Layout, write: bool, progress: Progress | None = None) -> None:
        self._layout = layout
        self._write = write
        self._progress = progress
        self._done = self._total = 0
        self._lock = threading.Lock()
        self._local = threading.local()

    def run(self, drafts: Sequence[BlockDraft], workers: int = WORKERS) -> list[Imported]:
        """All blocks, in their order.

        Raises:
            StoreError: a source that cannot be read, or a store that cannot be written to.
        """
        self._done, self._total = 0, sum(draft.bytes for draft in drafts)
        with ThreadPoolExecutor(workers, thread_name_prefix="trunkline-import") as pool:
            # Large ones first, so that no thread is left alone with one at the end.
            order = sorted(range(len(drafts)), key=lambda i: -drafts[i].bytes)
            futures = {i: pool.submit(self._one, drafts[i]) for i in order}
            try:
                wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in futures.values():
                    future.result()
                return [futures[i].result() for i in range(len(drafts))]
            finally:
                for future in futures.values():
                    future.cancel()

    def write_small(self, blobs: Mapping[str, bytes]) -> None:
        """Write those of some small blobs that the store lacks, side by side.

        Raises:
            StoreError: the store cannot be written to.
        """
        lacking = [one for one in blobs.items() if not self._layout.has(one[0], len(one[1]))]
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="trunkline-import") as pool:
            list(pool.map(lambda one: self._layout.write_blob(one[0], [one[1]]), lacking))

    def _one(self, draft: BlockDraft) -> Imported:
        held = draft.size <= BUFFER_BYTES
        buffer = self._buffer(draft.size if held else PIECE_BYTES)
        hasher = hashlib.sha256()
        pieces = draft.read(buffer, PIECE_BYTES)
        hasher.update(next(pieces))  # the header; progress counts payload
        for piece in pieces:
            hasher.update(piece)
            self._tell(len(piece))
        digest = "sha256:" + hasher.hexdigest()
        new = not self._layout.has(digest, draft.size)
        if new and self._write:
            if held:
                self._layout.write_blob(digest, [buffer[: draft.size]])
            else:
                self._stream(draft, digest, buffer)
        block = StoredBlock(
            draft.id, digest, draft.bytes, draft.size, len(draft.header), draft.specs
        )
        return Imported(block, new)

    def _stream(self, draft: BlockDraft, digest: str, buffer: memoryview) -> None:
        hasher = hashlib.sha256()

        def pieces() -> Iterator[memoryview]:
            for piece in draft.read(buffer, PIECE_BYTES):
                hasher.update(piece)
                yield piece
            if "sha256:" + hasher.hexdigest() != digest:  # raised before the file gets its name
                raise StoreError(
                    f"the source of block {shorten(draft.id)!r} changed while it was read"
                )

        self._layout.write_blob(digest, pieces())

    def _buffer(self, size: int) -> memoryview:
        """This thread's buffer, grown to `size`: first use of memory costs more than a copy."""
        held: memoryview | None = getattr(self._local, "buffer", None)
        if held is None or len(held) < size:
            held = self._local.buffer = memoryview(bytearray(size))
        return held

    def _tell(self, count: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._done += count
                self._progress(self._done, self._total)

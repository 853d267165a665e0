"""The bytes of a stream, at any position, from the files of a store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from trunkline.errors import CorruptBlobError
from trunkline.server.streams.layout import Layout
from trunkline.store.model import StoredBlock
from trunkline.store.reading import FileReader


class StreamReader:
    """Reads a stream's bytes; for one thread at a time. One file is open at most.

    Args:
        path_of: where the blob of a digest is.
    """

    def __init__(self, layout: Layout, path_of: Callable[[str], Path]) -> None:
        self._header = layout.header
        self._size = layout.bytes
        self._path_of = path_of
        self._parts = [one for one in layout.blocks if one.begin < one.end]
        self._begins = [one.begin for one in self._parts]
        self._file: FileReader | None = None
        self._digest = ""

    def read(self, position: int, count: int, *, wait: bool = True) -> bytes | bytearray:
        """`count` bytes from `position` on, fewer at the end of the stream.

        Raises:
            StoreError: a blob is missing, or has another length than it had.
            BlockingIOError: `wait` is false and a disk would have to be waited for.
        """
        end = min(position + count, self._size)
        if end <= len(self._header):
            return self._header[position:end]
        found = bytearray(end - position)
        view = memoryview(found)
        at = position
        if at < len(self._header):
            at = len(self._header)
            view[: at - position] = self._header[position:]
        while at < end:
            part = self._parts[bisect_right(self._begins, at) - 1]
            until = min(part.end, end)
            offset = part.block.data_start + at - part.begin
            file = self._open(part.block)
            file.read_into(offset, view[at - position : until - position], wait=wait)
            at = until
        return found

    def close(self) -> None:
        """Close what is open; the next `read` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file, self._digest = None, ""

    def _open(self, block: StoredBlock) -> FileReader:
        if self._file is None or self._digest != block.digest:
            self.close()
            self._file, self._digest = open_block(block, self._path_of), block.digest
        return self._file


def open_block(block: StoredBlock, path_of: Callable[[str], Path]) -> FileReader:
    """A block's file (StoreError: missing or unreadable; CorruptBlobError: of another length)."""
    file = FileReader(path_of(block.digest))
    if file.size != block.size:
        file.close()
        raise CorruptBlobError(f"{file.path}: {file.size} bytes, its model says {block.size}")
    return file


def head_of(block: StoredBlock, path_of: Callable[[str], Path]) -> bytes:
    """A block's file up to its data (errors as in `open_block`)."""
    with open_block(block, path_of) as file:
        return file.read(0, block.data_start)

"""Comparing blobs with their digests before they are loaded: each once, unless its file changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from trunkline.errors import CorruptBlobError, StoreError
from trunkline.runtime.pages import bring_in
from trunkline.runtime.reading import open_block
from trunkline.store import StoredBlock

PIECE_BYTES: Final = 2**20

_State = tuple[int, ...]


class Checked:
    """What blobs were found to hold, as long as their files are as they were.

    A file is the same while its inode, length and times of change are. What a disk returns
    differently at the next read, without anybody having written, goes unnoticed.

    Args:
        path_of: where the blob of a digest is.
    """

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of
        self._paths: dict[str, str] = {}
        self._found: dict[str, tuple[_State, str]] = {}

    def check(self, blobs: Iterable[tuple[str, StoredBlock]]) -> int:
        """Hash blobs, given as digest and block, that were not hashed as they are now; returns how
        many bytes that were.

        Raises:
            NotInStoreError: a blob is missing.
            CorruptBlobError: it is not what its digest says.
            StoreError: it cannot be read.
        """
        done = 0
        for digest, block in blobs:
            path = self._paths.get(digest)
            if path is None:
                path = self._paths[digest] = str(self._path_of(digest))
            known = self._found.get(digest)
            if known is None or known[0] != _state(path):
                self._found.pop(digest, None)
                known = self._found[digest] = _hashed(path, block)
                done += block.size
            if known[1] != digest:
                raise CorruptBlobError(
                    f"the blob {digest} is corrupt: its content is {known[1]} ({path})"
                )
        return done

    def keep(self, digests: Collection[str]) -> None:
        """Forget what was found of all others."""
        for known in (self._paths, self._found):
            for digest in list(known):  # at once: `check` runs beside this
                if digest not in digests:
                    known.pop(digest, None)


def _hashed(path: str, block: StoredBlock) -> tuple[_State, str]:
    state, hasher = _state(path), hashlib.sha256()  # before: a change meanwhile is noticed later
    fd = open_block(path, block)
    try:
        bring_in(fd, block.size)
        buffer = memoryview(bytearray(min(PIECE_BYTES, max(block.size, 1))))
        position = 0
        while count := os.preadv(fd, [buffer], position):
            hasher.update(buffer[:count])
            position += count
    except OSError as error:
        raise StoreError(
            f"the blob {block.digest} cannot be read ({path}): {error.strerror}"
        ) from None
    finally:
        os.close(fd)
    return state, "sha256:" + hasher.hexdigest()


def _state(path: str) -> _State:
    try:
        found = os.stat(path)
    except OSError:
        return ()  # whoever opens it says why
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

"""The system's cache of file pages: letting files go, so that a cold read can be measured, and
reading them into it, so that a warm one is warm."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from trunkline.runtime.pages import bring_in, cached_bytes

KEPT_BYTES: Final = 64 * 1024
"""Pages that were just read are now and then kept for a moment; so many bytes don't count."""

TRIES: Final = 3

CHUNK_BYTES: Final = 1 << 20


def warm_files(paths: Iterable[Path]) -> int:
    """Read files from beginning to end, so that the system caches them, in large pages where it
    has such; returns their bytes.

    How many of them stay cached is the system's to say: it has to have the memory.

    Raises:
        OSError: one cannot be read.
    """
    total, chunk = 0, bytearray(CHUNK_BYTES)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            bring_in(file.fileno(), os.fstat(file.fileno()).st_size)
            while count := file.readinto(chunk):
                total += count
    return total


def drop_cached(paths: Iterable[Path]) -> bool:
    """Ask the system to forget the cached pages of files; returns whether it did, up to a few
    pages (`KEPT_BYTES` or a hundredth of the bytes).

    Linux forgets clean pages of files on a disk, so pages that are still to be written are
    written now; a file system in memory, and some others, keep them. Where it cannot be told,
    the answer is no.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    total = kept = 0
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            total += os.fstat(fd).st_size
            kept += _forget(fd)
        finally:
            os.close(fd)
    return kept <= max(KEPT_BYTES, total // 100)


def _forget(fd: int) -> int:
    """Let an open file's pages go; returns the bytes of those that stayed."""
    kept = 0
    for _ in range(TRIES):
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            kept = cached_bytes(fd)
            if not kept:
                break
            os.fsync(fd)  # takes milliseconds, so only where something stayed
        except OSError:
            return os.fstat(fd).st_size
    return kept

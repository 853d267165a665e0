"""The system's cache of file pages: letting go of files, so that a cold read can be measured."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

KEPT_BYTES: Final = 64 * 1024
"""Pages that were just read are now and then kept for a moment; so many bytes don't count."""

TRIES: Final = 3


def drop_cached(paths: Iterable[Path]) -> bool:
    """Ask the system to forget the cached pages of files; returns whether it did, up to a few
    small files (`KEPT_BYTES` or a hundredth of the bytes).

    Linux forgets clean pages of files on a disk; a file system in memory, and some others, keep
    them. Where it cannot be told, the answer is no.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    total = kept = 0
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            total += size
            kept += 0 if _forget(fd) else size
        finally:
            os.close(fd)
    return kept <= max(KEPT_BYTES, total // 100)


def _forget(fd: int) -> bool:
    for _ in range(TRIES):
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            return False
        if not _is_cached(fd):
            return True
    return False


def _is_cached(fd: int) -> bool:
    """Whether the middle of a file could be read at once; True where that cannot be asked."""
    if not hasattr(os, "RWF_NOWAIT"):
        return True
    size = os.fstat(fd).st_size
    try:
        return os.preadv(fd, [bytearray(1)], size // 2, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False

"""The pages that the system keeps of files: mapped, brought in, in large pieces where it has such.

Linux caches files in pieces of one page and more. What is read comes in pieces of some pages, and
what is mapped with the wish for large pages in pieces of 2 MiB, which can be mapped again in a
tenth of the time.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from contextlib import suppress
from functools import cache
from typing import Final

PIECE_BYTES: Final = 8 * 2**20
"""So much of a file is mapped at once to bring it in: for that moment it counts as the process's
memory, beyond any budget."""

_HUGEPAGE: Final = 14
"""MADV_HUGEPAGE, which Python's mmap knows only where it was built with it."""

_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ of Linux 5.14: bring pages in; what cannot be read is an error, no signal."""

_FAILED: Final = ctypes.c_void_p(-1).value


class Pages:
    """A mapping of (a part of) a file; it goes when the last array or tensor on it does.

    Nothing is read before `populate`. What is written to it goes into a copy; the file stays.

    Args:
        descriptor: of the file, which may be closed afterwards.
        size: bytes to map.
        begin: the first of them, a multiple of the page size.

    Attributes:
        address: where it begins in memory.
        size: its bytes.

    Raises:
        OSError: its file system cannot map files, or there is no more room for mappings.
    """

    def __init__(self, descriptor: int, size: int, begin: int = 0) -> None:
        self.size = 0
        writable = mmap.PROT_READ | mmap.PROT_WRITE
        address = _calls().mmap(None, size, writable, mmap.MAP_PRIVATE, descriptor, begin)
        if address is None or address == _FAILED:
            raise _error()
        self.address: int = address
        self.size = size
        _calls().madvise(address, size, _HUGEPAGE)  # a wish; where it is not heard, small ones do

    def __del__(self) -> None:
        if self.size:
            _calls().munmap(self.address, self.size)

    @property
    def __array_interface__(self) -> dict[str, object]:
        """By which numpy makes an array on the pages, which keeps them."""
        data = (self.address, False)
        return {"version": 3, "shape": (self.size,), "typestr": "|u1", "data": data}

    def populate(self) -> None:
        """Bring all pages in, so that no use of them waits for the disk.

        Raises:
            OSError: they cannot be read (EFAULT).
        """
        while _calls().madvise(self.address, self.size, _POPULATE_READ):
            if ctypes.get_errno() not in (errno.EINTR, errno.EAGAIN):
                raise _error()

    def let_go(self) -> None:
        """Give the pages back now, whoever still has an array on them: a use brings them in anew,
        as the file has them."""
        _calls().madvise(self.address, self.size, mmap.MADV_DONTNEED)


@cache
def can_map() -> bool:
    """Whether this system maps files and tells what it cannot read of them: Linux from 5.14 on."""
    if sys.platform != "linux":
        return False
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            page.madvise(_POPULATE_READ)
    except (OSError, ValueError):
        return False
    return True


def cached_bytes(fd: int) -> int:
    """Bytes of the pages of an open file that the system has in memory, by `mincore`, which (unlike
    a read that may not wait) brings none in.

    Linux tells it of files that one owns or may write, and says "all" of others; so does this where
    there is no `mincore`.
    """
    size = os.fstat(fd).st_size
    ask = getattr(ctypes.CDLL(None), "mincore", None)
    if not size or ask is None:
        return size
    pages = -(-size // mmap.PAGESIZE)
    there = ctypes.create_string_buffer(pages)
    with mmap.mmap(fd, size, access=mmap.ACCESS_COPY) as mapped:
        place = ctypes.c_char.from_buffer(mapped)
        failed = ask(ctypes.c_void_p(ctypes.addressof(place)), ctypes.c_size_t(size), there)
        del place  # or the mapping could not be closed
    return size if failed else mmap.PAGESIZE * there.raw.count(1)


def bring_in(descriptor: int, size: int) -> None:
    """Have a file in the system's cache, in large pages if most of it was not there before.

    A small page where a large one should go makes all of that small (who looks at a file's header
    leaves some), so what little is there goes first. Does nothing where that cannot be done, and
    tells no errors: whoever reads it finds them.
    """
    if not can_map():
        return
    with suppress(OSError):
        if cached_bytes(descriptor) < size // 2:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for begin in range(0, size, PIECE_BYTES):
            Pages(descriptor, min(PIECE_BYTES, size - begin), begin).populate()


class _Calls:
    """The system's calls. Those that may take long let other threads run."""

    def __init__(self) -> None:
        held, free = ctypes.PyDLL(None, use_errno=True), ctypes.CDLL(None, use_errno=True)
        address, size, flag = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        self.mmap = held.mmap
        self.mmap.argtypes = [address, size, flag, flag, flag, ctypes.c_long]
        self.mmap.restype = address
        self.munmap = free.munmap
        self.munmap.argtypes = [address, size]
        self.madvise = free.madvise
        self.madvise.argtypes = [address, size, flag]


@cache
def _calls() -> _Calls:
    return _Calls()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))

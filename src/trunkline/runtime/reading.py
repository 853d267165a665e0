"""Reading blocks from the store straight into the places of their tensors.

One `preadv` fills many tensors (a scatter read); it copies from the page cache without an
intermediate buffer, and releases the interpreter lock, so several threads read at once. Every read
is checked for its length.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final

from trunkline.errors import CorruptBlobError, NotInStoreError, StoreError
from trunkline.runtime.placement import Piece, Placement
from trunkline.store import StoredBlock

MAX_VECTORS: Final = 1024
"""The kernel takes at most this many places in one read (IOV_MAX)."""

SPLIT_BYTES: Final = 4 * 2**20
"""Larger blocks are read in parts of about this size; smaller parts were slower, not evener."""

ALONE_BYTES: Final = 512 * 1024
"""Below this many bytes in all, one thread reads them faster than two can be told to."""


@dataclass(frozen=True, slots=True)
class Read:
    """A block to be read: its file, and where the bytes go (`view`, as long as the placement)."""

    path: str
    block: StoredBlock
    placement: Placement
    view: memoryview


class BlockReader:
    """Reads blocks with a few threads.

    Args:
        threads: how many read at once, the caller's own among them.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or min(4, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    def read(
        self,
        reads: Sequence[Read],
        meanwhile: Callable[[], None] | None = None,
        there: Callable[[int], None] | None = None,
    ) -> None:
        """Read all of them; returns when every byte is in its place.

        Args:
            meanwhile: called once by the caller's thread, before it reads itself.
            there: told of each block, by its place in `reads`, when it was read, from the thread
                that did; they are read in this order then, else in the quickest.

        Raises:
            NotInStoreError: a blob is missing.
            CorruptBlobError: a blob has another length than its header says.
            StoreError: a blob cannot be read.
        """
        total = sum(read.placement.size for read in reads)
        helpers = 0 if total < ALONE_BYTES else self.threads - 1
        files = [_File(read, there and partial(there, n)) for n, read in enumerate(reads)]
        parts = list(_jobs(files, SPLIT_BYTES if helpers else total))
        if there is None:
            parts.sort(key=_by_size)
        jobs = iter(parts)
        pending: list[Future[Exception | None]] = []
        try:
            self._start(helpers, jobs, pending)
            if helpers:
                _open_all(files)
            if meanwhile is not None:
                meanwhile()
            errors = [_work(jobs)]
        finally:
            pending = [helper for helper in pending if not helper.cancelled()]
            wait(pending)  # nobody writes into memory that the caller takes back
            for file in files:
                file.close()
        errors += [helper.result() for helper in pending]
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _start(
        self, helpers: int, jobs: Iterator[_Job], pending: list[Future[Exception | None]]
    ) -> None:
        """Let helpers begin; where the system has no more threads, with those that there are."""
        if self._pool is None and helpers:
            self._pool = ThreadPoolExecutor(self.threads - 1, "trunkline-read")
        try:
            for _ in range(helpers):
                pending.append(self._pool.submit(_work, jobs))  # type: ignore[union-attr]
        except RuntimeError:  # the pool took the job, but could not start a thread for it
            self._pool.shutdown(cancel_futures=True)  # type: ignore[union-attr]
            self._pool = None


class _File:
    """A block's file: opened, and its length checked, by whoever needs it first."""

    def __init__(self, read: Read, there: Callable[[], None] | None = None) -> None:
        self.read = read
        self.left = 0  # parts that are still to be read
        self._there = there
        self._fd = -1
        self._lock = Lock()

    def open(self) -> int:
        """Its descriptor.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
        """
        with self._lock:
            if self._fd < 0:
                self._fd = open_block(self.read.path, self.read.block)
            return self._fd

    def part_read(self) -> None:
        """Tell that the block is there, if this was the last part of it."""
        with self._lock:
            self.left -= 1
            whole = not self.left
        if whole and self._there is not None:
            self._there()

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_Job = tuple[_File, int, int]
"""A part of a block, `begin..end` of its buffer, for one thread."""


def _jobs(files: Iterable[_File], step: int) -> Iterator[_Job]:
    for file in files:
        size = file.read.placement.size
        part = -(-size // max(1, round(size / max(step, 1)))) if size else 1
        begins = range(0, max(size, 1), part)
        file.left = len(begins)
        for begin in begins:
            yield file, begin, min(begin + part, size)


def _open_all(files: Iterable[_File]) -> None:
    """Open files here while the helpers begin: each system call lets them have the interpreter,
    which they would otherwise get only after `meanwhile`. What fails is told where it is read."""
    for file in files:
        with suppress(StoreError):
            file.open()


def _by_size(job: _Job) -> int:
    return job[1] - job[2]


def _work(jobs: Iterator[_Job]) -> Exception | None:
    """Take jobs until none is left (a list iterator hands each out once, under the lock)."""
    for file, begin, end in jobs:
        try:
            _fill(file.open(), file.read, begin, end)
            file.part_read()
        except (StoreError, OSError, ValueError) as error:
            for _ in jobs:  # nobody needs the rest
                pass
            return error
    return None


def read_block(read: Read) -> None:
    """Read a block, or the part of it that the placement has pieces of.

    Raises:
        NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
    """
    fd = open_block(read.path, read.block)
    try:
        _fill(fd, read, 0, read.placement.size)
    finally:
        os.close(fd)


def open_block(path: str, block: StoredBlock) -> int:
    """A descriptor of a block's file, whose length is right.

    Raises:
        NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait
    except FileNotFoundError:
        raise NotInStoreError(
            f"the blob {block.digest} is missing from the store ({path})"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the blob {block.digest} cannot be opened ({path}): {error.strerror}"
        ) from None
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_size == block.size:
        return fd
    os.close(fd)
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"the blob {block.digest} is no regular file ({path})")
    raise CorruptBlobError(
        f"blob {block.digest} has {status.st_size} bytes, not {block.size} ({path})"
    )


def _fill(fd: int, read: Read, begin: int, end: int) -> None:
    """Read what goes to `begin..end` of the buffer."""
    pieces: Iterable[Piece] = read.placement.pieces
    if begin > 0 or end < read.placement.size:
        pieces = read.placement.clipped(begin, end)
    try:
        for run in _runs(pieces):
            views = [read.view[one.offset : one.offset + one.bytes] for one in run]
            _read_exactly(fd, views, run[0].file_offset, read)
    except OSError as error:
        raise StoreError(f"cannot read {read.path}: {error.strerror}") from None


def _runs(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces that follow one another in the file, as many together as one read takes."""
    run: list[Piece] = []
    for piece in pieces:
        if run and (
            len(run) == MAX_VECTORS or run[-1].file_offset + run[-1].bytes != piece.file_offset
        ):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _read_exactly(fd: int, views: list[memoryview], position: int, read: Read) -> None:
    while views:
        count = os.preadv(fd, views, position)
        if count == 0:
            raise CorruptBlobError(
                f"blob {read.block.digest} ends at byte {position}, {sum(map(len, views))} bytes "
                f"too early ({read.path})"
            )
        position += count
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if count:
            views[0] = views[0][count:]

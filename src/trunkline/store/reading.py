"""Reading bytes at a position, into the caller's buffer.

Plain `pread` and no memory map: a file that is cut short under a map kills the process with
SIGBUS, where a short read is an error that can be told.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store.header import Header, header_length, parse_header

_FIRST_BYTES: Final = 4096
"""Most headers of blocks end within these."""

_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})


class Reader(Protocol):
    """Something that has bytes at positions."""

    def read_into(self, position: int, view: memoryview) -> None:
        """Fill `view` with the bytes that begin at `position` (StoreError if there are fewer)."""


class BufferReader:
    """Bytes that are in memory."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer

    def read_into(self, position: int, view: memoryview) -> None:
        """Copy the bytes that begin at `position`."""
        view[:] = self._buffer[position : position + len(view)]


class FileReader:
    """A file, open until `close()`.

    Raises:
        StoreError: it cannot be opened or read, or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # a pipe would wait for somebody who writes
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot open {path}: {reason(error)}") from None
        try:
            self.size = _regular_size(self._fd, path)
        except BaseException:
            self.close()
            raise

    def read_into(self, position: int, view: memoryview, *, wait: bool = True) -> None:
        """Read the bytes that begin at `position`; WeightsFormatError where the file ends.

        Raises:
            BlockingIOError: `wait` is false and they are not in memory, or the system cannot tell.
        """
        flags = 0 if wait else getattr(os, "RWF_NOWAIT", None)
        if flags is None:
            raise BlockingIOError
        done = 0
        while done < len(view):
            try:
                count = os.preadv(self._fd, [view[done:]], position + done, flags)
            except OSError as error:
                if not wait and error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL):
                    raise BlockingIOError from None
                raise StoreError(f"cannot read {self.path}: {reason(error)}") from None
            if count == 0:
                raise WeightsFormatError(
                    f"{self.path} ends at byte {position + done} while it is read; "
                    f"{len(view) - done} more were promised"
                )
            done += count

    def read(self, position: int, count: int) -> bytes:
        """Read `count` bytes."""
        buffer = bytearray(count)
        self.read_into(position, memoryview(buffer))
        return bytes(buffer)

    def fileno(self) -> int:
        """The descriptor, for calls of the system."""
        return self._fd

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_header(file: FileReader) -> Header:
    """The header of an open safetensors file.

    Raises:
        WeightsFormatError: it is none, or a pickle, or breaks the format.
    """
    where = str(file.path)
    first = file.read(0, min(_FIRST_BYTES, file.size))
    refuse_pickle(file.path, first[:16])
    length = header_length(first, file.size, where)
    raw = first[8 : 8 + length] if 8 + length <= len(first) else file.read(8, length)
    return parse_header(raw, file.size, where)


def refuse_pickle(path: Path, first_bytes: bytes = b"") -> None:
    """Refuse what is a pickle by its suffix or its first bytes, and say what to do instead.

    Raises:
        WeightsFormatError: it is one.
    """
    archive = first_bytes.startswith(b"PK\x03\x04")
    # A protocol-2 pickle opens with 0x80 0x02; so may a safetensors header of 640 bytes, whose
    # ninth byte is then a brace.
    pickled = (
        len(first_bytes) > 8
        and first_bytes[0] == 0x80
        and 2 <= first_bytes[1] <= 5
        and first_bytes[8:9] != b"{"
    )
    if archive or pickled or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise WeightsFormatError(
            f"{path} is a pickle, and reading a pickle can run any code in it, so a store never "
            "does; convert it where you trust it: "
            "safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
        )


def reason(error: OSError | ValueError) -> str:
    """What the system says about an error, without the path it repeats."""
    return getattr(error, "strerror", None) or str(error)


def _regular_size(fd: int, path: Path) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is no regular file")
    return status.st_size

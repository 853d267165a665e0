"""A blob that comes piece by piece, maybe over several runs: kept by its digest until it is whole.

`.trunkline/partial/<hex>` holds its first bytes. Whoever writes to it holds a lock on that file;
a second pull of the same blob waits there, and finds the blob in the store afterwards. After a kill
the file stays. Who goes on from it reads it again, since only what was hashed now is known to be
what the final digest speaks of.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.store.layout import Layout, make_directories, sync_data

PIECE_BYTES: Final = 2**20
LOOK_AGAIN_S: Final = 0.05
"""How often to look whether another pull has let go of a blob."""


class Partial:
    """The bytes of a blob that are here; `open_partial` makes one.

    Attributes:
        done: how many bytes are here.
        resumed: how many of them an earlier run had left.
    """

    def __init__(self, layout: Layout, digest: str, size: int, fd: int) -> None:
        self.digest = digest
        self.size = size
        self.done = self.resumed = 0
        self._layout = layout
        self._fd = fd
        self._hasher = hashlib.sha256()

    def read_back(self, stopped: Callable[[], bool]) -> None:
        """Hash what an earlier run left; more than the blob's size is worth nothing."""
        with self._failing():
            left = os.fstat(self._fd).st_size
            if left > self.size:
                left = 0
                os.ftruncate(self._fd, 0)
            while self.done < left and not stopped():
                piece = os.pread(self._fd, min(PIECE_BYTES, left - self.done), self.done)
                if not piece:
                    break
                self._hasher.update(piece)
                self.done += len(piece)
        self.resumed = self.done

    def append(self, piece: bytes | memoryview) -> None:
        """Add bytes (StoreError if the disk is full); never more than the size: the caller's."""
        view = memoryview(piece)
        with self._failing():
            at = self.done
            while at < self.done + len(view):
                at += os.pwrite(self._fd, view[at - self.done :], at)
        self._hasher.update(view)
        self.done += len(view)

    def restart(self) -> None:
        """Throw away what is here."""
        with self._failing():
            os.ftruncate(self._fd, 0)
        self._hasher = hashlib.sha256()
        self.done = self.resumed = 0

    @property
    def content(self) -> str:
        """The digest of what is here."""
        return "sha256:" + self._hasher.hexdigest()

    def publish(self) -> None:
        """Give the blob its name in the store; its content is that of its digest."""
        with self._failing():
            os.ftruncate(self._fd, self.size)
            sync_data(self._fd)
            os.replace(_path(self._layout, self.digest), self._layout.blob_path(self.digest))

    def discard(self) -> None:
        """Remove the file."""
        with self._failing():
            os.unlink(_path(self._layout, self.digest))

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._layout.unwritable(error) from None


@contextmanager
def open_partial(
    layout: Layout, digest: str, size: int, pause: Callable[[float], None] = time.sleep
) -> Iterator[Partial | None]:
    """The partial file of a blob, locked; None if the blob has come into the store meanwhile.

    The caller holds `layout.importing()`.

    Args:
        pause: waits so many seconds while another pull holds the file; what it raises ends that.

    Raises:
        StoreError: the store cannot be written to.
    """
    fd = _open_locked(layout, digest, size, pause)
    try:
        yield None if fd is None else Partial(layout, digest, size, fd)
    finally:
        if fd is not None:
            os.close(fd)  # gives the lock back


def sizes(layout: Layout) -> dict[str, int]:
    """The bytes that partial files hold, by digest (what cannot be listed holds none)."""
    try:
        found = list(os.scandir(layout.partials))
        return {f"sha256:{one.name}": one.stat().st_size for one in found}
    except OSError:
        return {}


def _open_locked(
    layout: Layout, digest: str, size: int, pause: Callable[[float], None]
) -> int | None:
    path = _path(layout, digest)
    try:
        make_directories(layout.partials)
        while not layout.has(digest, size):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                while not _locked(fd):
                    pause(LOOK_AGAIN_S)
                if os.path.samestat(os.fstat(fd), os.stat(path)) and not layout.has(digest, size):
                    return fd
            except FileNotFoundError:
                pass  # another pull has published it
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
    except OSError as error:
        raise layout.unwritable(error) from None
    return None


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _path(layout: Layout, digest: str) -> str:
    return str(layout.partials / layout.blob_path(digest).name)

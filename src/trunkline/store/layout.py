"""The files of a store: an OCI image layout, locks, and writes that a kill cannot spoil.

```
oci-layout, index.json, blobs/sha256/<hex>      as the OCI image layout says
.trunkline/lock                                 shared by imports, exclusive to gc
.trunkline/index.lock                           exclusive while index.json is replaced
.trunkline/tmp/                                 files on their way to blobs/
```
A blob is written to a temporary file, synced, and renamed to its digest; the directory is synced
before the index that names the blob is replaced. So at any moment every blob that the index
reaches is whole, and its name is its content's digest.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from trunkline.errors import CorruptBlobError, NotInStoreError, StoreBusyError, StoreError
from trunkline.store.digests import check_digest
from trunkline.store.reading import FileReader, reason

MAX_DOCUMENT_BYTES: Final = 64 * 2**20
_OWN: Final = frozenset({"oci-layout", "index.json", "blobs", ".trunkline"})
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Layout:
    """An OCI image layout in a directory. `Layout.open` checks or makes one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs" / "sha256"
        self.index_path = path / "index.json"
        self.temporaries = path / ".trunkline" / "tmp"

    @classmethod
    def open(cls, path: Path, create: bool = False) -> Layout:
        """The layout at `path`, made if it is not there and `create` says so.

        Raises:
            StoreError: there is none, or something else is there, or it cannot be made.
        """
        layout = cls(path)
        marker = path / "oci-layout"
        try:
            if marker.exists():
                layout._check_marker(marker)
                return layout
            if not create:
                raise NotInStoreError(f"no store at {path}; `trunkline import` makes one")
            if path.exists() and (foreign := sorted(set(os.listdir(path)) - _OWN)):
                raise StoreError(f"{path} is no store and not empty: it holds {foreign[0]!r}")
            layout._create(marker)
        except OSError as error:
            raise StoreError(f"cannot open the store at {path}: {reason(error)}") from None
        return layout

    def _check_marker(self, marker: Path) -> None:
        document = self.read_json(marker)
        if document.get("imageLayoutVersion") != "1.0.0":
            raise StoreError(f"{marker}: this is no OCI image layout of version 1.0.0")

    def _create(self, marker: Path) -> None:
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.temporaries.mkdir(parents=True, exist_ok=True)
        with self.index_lock():
            if not self.index_path.exists():
                self.write_index([])
        self._replace(marker, b'{"imageLayoutVersion":"1.0.0"}')

    # ---- blobs ----

    def blob_path(self, digest: str) -> Path:
        """Where the blob of a digest is, whether it is there or not (StoreError: no digest)."""
        return self.blobs / check_digest(digest, str(self.path)).removeprefix("sha256:")

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is there with that length."""
        try:
            return self.blob_path(digest).stat().st_size == size
        except OSError:
            return False

    def open_blob(self, digest: str, size: int | None = None) -> FileReader:
        """The blob, open for reading; checked to have `size` bytes if that is given.

        Raises:
            NotInStoreError: it is not there.
            CorruptBlobError: its length is another.
            StoreError: it cannot be read.
        """
        path = self.blob_path(digest)
        if not path.exists():
            raise NotInStoreError(f"the blob {digest} is missing from the store at {self.path}")
        file = FileReader(path)
        if size is not None and file.size != size:
            file.close()
            raise CorruptBlobError(f"{path} has {file.size} bytes, its manifest says {size}")
        return file

    def write_blob(self, digest: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a blob whole or not at all; `digest` must be that of the pieces.

        Raises:
            StoreError: the disk is full, or the store may not be written to.
        """
        self._write_renamed(pieces, self.blob_path(digest))

    def sync_blobs(self) -> None:
        """Make the names of all blobs durable; to be done before an index names new ones."""
        _sync_directory(self.blobs)

    # ---- documents ----

    def read_json(self, path: Path) -> dict[str, Any]:
        """A JSON object from a file (StoreError naming the file if it is none)."""
        with FileReader(path) as file:
            if file.size > MAX_DOCUMENT_BYTES:
                raise StoreError(f"{path}: {file.size} bytes, limit {MAX_DOCUMENT_BYTES}")
            raw = file.read(0, file.size)
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path} is corrupt: {error}") from None
        if not isinstance(document, dict):
            raise StoreError(f"{path} is corrupt: no JSON object")
        return document

    def read_index(self) -> list[dict[str, Any]]:
        """The entries of index.json (StoreError naming the file if it is corrupt)."""
        entries = self.read_json(self.index_path).get("manifests")
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise StoreError(f"{self.index_path} is corrupt: 'manifests' is no list of objects")
        return entries

    def write_index(self, entries: list[dict[str, Any]]) -> None:
        """Replace index.json; the caller holds `index_lock`."""
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
        self._replace(self.index_path, json.dumps(document, separators=(",", ":")).encode())

    # ---- locks ----

    @contextmanager
    def index_lock(self) -> Iterator[None]:
        """Held while index.json is read, changed and replaced; moments."""
        with self._locked("index.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Held by an import: keeps gc away. The only one at work clears what killed ones left."""
        with self._lock_file("lock") as fd:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.clear_temporaries()
            except BlockingIOError:
                pass
            _flock(fd, fcntl.LOCK_SH, self.path)
            yield

    @contextmanager
    def collecting(self, wait_s: float) -> Iterator[None]:
        """Held by gc: nobody else adds blobs. StoreBusyError if imports run beyond `wait_s`."""
        give_up = time.monotonic() + wait_s
        with self._lock_file("lock") as fd:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= give_up:
                        raise StoreBusyError(
                            f"an import into the store at {self.path} is running; "
                            "collect the garbage when it is done"
                        ) from None
                    time.sleep(0.05)
            yield

    def clear_temporaries(self) -> int:
        """Remove what imports left behind; the caller holds the lock alone."""
        count = 0
        for path in self.temporaries.iterdir() if self.temporaries.is_dir() else ():
            path.unlink(missing_ok=True)
            count += 1
        return count

    @contextmanager
    def _locked(self, name: str, operation: int) -> Iterator[None]:
        with self._lock_file(name) as fd:
            _flock(fd, operation, self.path)
            yield

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        try:
            self.temporaries.mkdir(parents=True, exist_ok=True)
            fd = os.open(
                self.path / ".trunkline" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise StoreError(f"cannot lock the store at {self.path}: {reason(error)}") from None
        try:
            yield fd
        finally:
            os.close(fd)  # gives the lock back, as does the end of the process

    # ---- writing ----

    def _replace(self, path: Path, content: bytes) -> None:
        self._write_renamed([content], path)
        _sync_directory(path.parent)

    def _write_renamed(self, pieces: Iterable[bytes | memoryview], target: Path) -> None:
        temporary = self.temporaries / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            try:
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                try:
                    for piece in pieces:
                        _write_all(fd, piece)
                    _sync_data(fd)
                finally:
                    os.close(fd)
                os.replace(temporary, target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"cannot write to the store at {self.path}: {reason(error)}; "
                "its models are as they were (`trunkline gc` frees what this import wrote)"
            ) from None


def _write_all(fd: int, piece: bytes | memoryview) -> None:
    view = memoryview(piece)
    while len(view):
        view = view[os.write(fd, view) :]


def _flock(fd: int, operation: int, path: Path) -> None:
    try:
        fcntl.flock(fd, operation)
    except OSError as error:
        raise StoreError(f"cannot lock the store at {path}: {reason(error)}") from None


def _sync_directory(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError(f"cannot sync {path}: {reason(error)}") from None

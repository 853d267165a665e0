"""The files of a store: an OCI image layout, locks, and writes that a kill cannot spoil.

```
oci-layout, index.json, blobs/sha256/<hex>      as the OCI image layout says
.trunkline/lock                                 shared by all who write; exclusive to who removes
.trunkline/index.lock                           exclusive while index.json is replaced
.trunkline/tmp/                                 files on their way to their names
.trunkline/partial/                             blobs that are being pulled, as far as they are here
.trunkline/orders/                              in which order architectures use their tensors
.trunkline/quarantine/                          wrong blobs that a verification moved away
```
A blob is written to a temporary file, synced, and renamed to its digest; the directory is synced
before the index that names the blob is replaced. So at any moment every blob that the index
reaches is whole, and its name is its content's digest.

Whoever has a temporary file holds `lock`, at least shared; only who holds it alone removes files.
Who needs both locks takes `lock` first. Reading needs neither.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from trunkline.errors import CorruptBlobError, NotInStoreError, StoreBusyError, StoreError
from trunkline.store.digests import check_digest, digest_of, is_digest
from trunkline.store.reading import FileReader, reason
from trunkline.units import shorten

MAX_DOCUMENT_BYTES: Final = 64 * 2**20
_OWN: Final = frozenset({"oci-layout", "index.json", "blobs", ".trunkline"})
sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Layout:
    """An OCI image layout in a directory. `Layout.open` checks or makes one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs" / "sha256"
        self._before = os.path.join(self.blobs, "")
        self.index_path = path / "index.json"
        self.temporaries = path / ".trunkline" / "tmp"
        self.partials = path / ".trunkline" / "partial"
        self.orders = path / ".trunkline" / "orders"
        self.quarantined = path / ".trunkline" / "quarantine"

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
                raise NotInStoreError(layout._why_none(marker))
            if path.exists() and (foreign := sorted(set(os.listdir(path)) - _OWN)):
                what = shorten(foreign[0])
                raise StoreError(f"{path} is no store and not empty: it holds {what!r}")
            layout._create(marker)
        except OSError as error:
            raise StoreError(f"cannot open the store at {path}: {reason(error)}") from None
        return layout

    def _check_marker(self, marker: Path) -> None:
        document = self.read_json(marker)
        if document.get("imageLayoutVersion") != "1.0.0":
            raise StoreError(f"{marker}: this is no OCI image layout of version 1.0.0")

    def _why_none(self, marker: Path) -> str:
        if self.index_path.exists() or self._has_blobs():
            return (
                f"{self.path} is a store that lacks its file {marker.name}; importing a model "
                "into it writes the file anew"
            )
        return f"no store at {self.path}; `trunkline import` makes one"

    def _create(self, marker: Path) -> None:
        make_directories(self.blobs)
        make_directories(self.temporaries)
        with self.adding(), self.index_lock():
            if not self.index_path.exists():
                if self._has_blobs():  # an empty index would hand them to gc
                    raise StoreError(self._no_index())
                self.write_index([])
            self.replace(marker, b'{"imageLayoutVersion":"1.0.0"}')

    def _has_blobs(self) -> bool:
        return self.blobs.is_dir() and any(self.digests())

    def _no_index(self) -> str:
        return (
            f"the store at {self.path} lacks index.json, which names its models: bring it back "
            "from a copy, or write "
            '\'{"schemaVersion":2,"manifests":[]}\' into it and import the models again from '
            "their weights (blocks that are there are not written again)"
        )

    # ---- blobs ----

    def blob_path(self, digest: str) -> Path:
        """Where the blob of a digest is, whether it is there or not (StoreError: no digest)."""
        return self.blobs / self._name(digest)

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is there with that length."""
        try:
            return os.stat(self._before + self._name(digest)).st_size == size
        except OSError:
            return False

    def _name(self, digest: str) -> str:
        return check_digest(digest, self.path).removeprefix("sha256:")

    def open_blob(self, digest: str, size: int | None = None) -> FileReader:
        """The blob, open for reading; checked to have `size` bytes if that is given.

        Raises:
            NotInStoreError: it is not there.
            CorruptBlobError: its length is another.
            StoreError: it cannot be read.
        """
        path = self.blob_path(digest)
        try:
            file = FileReader(path)
        except StoreError:
            if path.exists():
                raise
            missing = f"the blob {digest} is missing from the store at {self.path}"
            raise NotInStoreError(missing) from None
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

    def digests(self) -> Iterator[str]:
        """The digests of all blobs there are, sorted; files of other names are none.

        Raises:
            StoreError: they cannot be listed.
        """
        try:
            names = sorted(os.listdir(self.blobs))
        except OSError as error:
            raise StoreError(f"cannot list the blobs in {self.blobs}: {reason(error)}") from None
        return (digest for name in names if is_digest(digest := f"sha256:{name}"))

    def quarantine(self, digest: str) -> None:
        """Move a blob away; the caller holds `alone` (StoreError where it cannot be moved)."""
        try:
            make_directories(self.quarantined)
            path = self.blob_path(digest)
            os.replace(path, self.quarantined / path.name)
            _sync_directory(self.quarantined)
        except OSError as error:
            raise self.unwritable(error) from None

    # ---- documents ----

    def read_json(self, path: Path) -> dict[str, Any]:
        """A JSON object from a file (StoreError naming the file if it is none)."""
        with FileReader(path) as file:
            return _parse(_read(file), path)

    def read_json_blob(self, digest: str, size: int) -> dict[str, Any]:
        """A JSON object from a blob (errors as in `read_blob`; StoreError if it is none)."""
        return _parse(self.read_blob(digest, size), self.blob_path(digest))

    def read_blob(self, digest: str, size: int | None = None) -> bytes:
        """A small blob whole, its content compared with its digest.

        Raises:
            NotInStoreError, CorruptBlobError: it is missing, or not what its digest says.
            StoreError: it cannot be read, or is too large to be read whole.
        """
        with self.open_blob(digest, size) as file:
            raw = _read(file)
        if digest_of(raw) != digest:
            raise CorruptBlobError(f"{file.path} is corrupt: its content is {digest_of(raw)}")
        return raw

    def read_index(self) -> list[dict[str, Any]]:
        """The entries of index.json (StoreError naming the file if it is missing or corrupt)."""
        if not self.index_path.exists():
            raise StoreError(self._no_index())
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
        self.replace(self.index_path, json.dumps(document, separators=(",", ":")).encode())

    # ---- locks ----

    @contextmanager
    def index_lock(self) -> Iterator[None]:
        """Held while index.json is read, changed and replaced, inside `adding`; moments."""
        with self._lock_file("index.lock") as fd:
            _flock(fd, fcntl.LOCK_EX, self.path)
            yield

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Held by all who write: nobody removes files meanwhile. Any number may hold it."""
        with self._lock_file("lock") as fd:
            _flock(fd, fcntl.LOCK_SH, self.path)
            yield

    @contextmanager
    def importing(self) -> Iterator[None]:
        """As `adding`; the only one at work first clears what killed ones left behind."""
        with self._lock_file("lock") as fd:
            if _flock_now(fd, self.path):
                self.clear_temporaries()
            _flock(fd, fcntl.LOCK_SH, self.path)
            yield

    @contextmanager
    def alone(self, wait_s: float) -> Iterator[None]:
        """Held by who removes files, alone (StoreBusyError if others are at work past `wait_s`)."""
        give_up = time.monotonic() + wait_s
        with self._lock_file("lock") as fd:
            while not _flock_now(fd, self.path):
                if time.monotonic() >= give_up:
                    raise StoreBusyError(
                        f"an import into the store at {self.path} (or a pull, a push or a "
                        "verification) is running; try again when it is done"
                    )
                time.sleep(0.05)
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nobody removes files meanwhile; without a lock where the store is not ours to write."""
        try:
            fd = os.open(self.path / ".trunkline" / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield
            return
        try:
            with suppress(OSError):  # some network file systems
                fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def clear_temporaries(self, partials: bool = False) -> int:
        """Remove what imports left behind, and `partials` of pulls that then cannot go on from
        there; the caller holds the lock alone. How many files there were."""
        count = 0
        for folder in (self.temporaries, self.partials) if partials else (self.temporaries,):
            try:
                for path in folder.iterdir() if folder.is_dir() else ():
                    if path.is_symlink() or not path.is_dir():  # a folder is none of ours
                        path.unlink(missing_ok=True)
                        count += 1
            except OSError as error:
                raise StoreError(f"cannot clear {folder}: {reason(error)}") from None
        return count

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        try:
            make_directories(self.temporaries)
            fd = os.open(
                self.path / ".trunkline" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise self.unwritable(error) from None
        try:
            yield fd
        finally:
            os.close(fd)  # gives the lock back, as does the end of the process

    # ---- writing ----

    def replace(self, path: Path, content: bytes, durable: bool = True) -> None:
        """Write a document whole or not at all (StoreError if it cannot be written); what is not
        `durable` may be spoilt where the machine stops, by a power failure."""
        self._write_renamed([content], path, durable)
        if durable:
            _sync_directory(path.parent)

    def _write_renamed(
        self, pieces: Iterable[bytes | memoryview], target: Path, durable: bool = True
    ) -> None:
        temporary = self.temporaries / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            try:
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                try:
                    for piece in pieces:
                        _write_all(fd, piece)
                    if durable:
                        sync_data(fd)
                finally:
                    os.close(fd)
                os.replace(temporary, target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self.unwritable(error) from None

    def unwritable(self, error: OSError) -> StoreError:
        """The error for a write that failed: a full disk, a store that is only to be read."""
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            what = f"the store at {self.path} is read-only here: {reason(error)}"
        else:
            what = f"cannot write to the store at {self.path}: {reason(error)}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "; `trunkline gc` frees blobs that no model needs" if full else ""
        return StoreError(f"{what}; its models are as they were{hint}")


def _read(file: FileReader) -> bytes:
    if file.size > MAX_DOCUMENT_BYTES:
        raise StoreError(f"{file.path}: {file.size} bytes, limit {MAX_DOCUMENT_BYTES}")
    return file.read(0, file.size)


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is corrupt: {error}") from None
    if not isinstance(document, dict):
        raise StoreError(f"{path} is corrupt: no JSON object")
    return document


def _write_all(fd: int, piece: bytes | memoryview) -> None:
    view = memoryview(piece)
    while len(view):
        view = view[os.write(fd, view) :]


def _flock(fd: int, operation: int, path: Path) -> None:
    try:
        fcntl.flock(fd, operation)
    except OSError as error:
        raise StoreError(f"cannot lock the store at {path}: {reason(error)}") from None


def _flock_now(fd: int, path: Path) -> bool:
    """Take the lock alone, if nobody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"cannot lock the store at {path}: {reason(error)}") from None
    return True


def make_directories(path: Path) -> None:
    """Make a directory and those above it that are missing, all of them durable."""
    if path.is_dir():
        return
    make_directories(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError(f"cannot sync {path}: {reason(error)}") from None

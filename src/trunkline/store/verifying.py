"""Verification: is every blob what its digest says, and whose is it if not?"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from trunkline.errors import NotInStoreError, StoreError
from trunkline.store.catalog import Catalog
from trunkline.store.importing import PIECE_BYTES, WORKERS, Progress
from trunkline.store.layout import Layout
from trunkline.store.manifest import Layer
from trunkline.store.reading import FileReader
from trunkline.store.reports import Problem, VerifyReport
from trunkline.units import shorten

WAIT_S = 10.0
"""A quarantine waits this long for running imports."""


@dataclass
class _Blob:
    """A blob to be verified: who needs it, with which length, and what is wrong with it."""

    sizes: dict[int, str] = field(default_factory=dict)  # length -> a model that says so
    models: set[str] = field(default_factory=set)
    problem: str | None = None
    wrong: bool = False


def verify(
    layout: Layout,
    catalog: Catalog,
    names: Iterable[str] | None,
    progress: Progress | None,
    quarantine: bool,
) -> VerifyReport:
    """Recompute the digests of the models' blobs, or of all blobs if `names` is None.

    Nothing is removed meanwhile, so a blob that is reported missing is missing; what imports add
    meanwhile may be passed over.

    Raises:
        NotInStoreError: no model of that name.
        StoreBusyError: `quarantine`, and an import is still running.
        StoreError: blobs cannot be listed or moved; the index is corrupt and models were named.
    """
    started = time.perf_counter()
    with layout.reading():
        entries, problems = _models(catalog, names)
        blobs = _needed(layout, catalog, entries, every=names is None)
        hashing = _Hashing(layout, progress, blobs)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="trunkline-verify") as pool:
            list(pool.map(hashing.check, blobs.items()))
        problems += _documents(catalog, entries, blobs)
    problems += [
        Problem(digest, blob.problem, tuple(sorted(blob.models)), blob.wrong)
        for digest, blob in sorted(blobs.items())
        if blob.problem is not None
    ]
    moved = _quarantine(layout, problems) if quarantine else ()
    return VerifyReport(
        len(blobs), hashing.done, tuple(problems), time.perf_counter() - started, moved
    )


def _models(
    catalog: Catalog, names: Iterable[str] | None
) -> tuple[dict[str, Layer], list[Problem]]:
    """The models to look at, and what is wrong with the index."""
    if names is not None:
        return {name: catalog.entry(name) for name in names}, []
    try:
        index = catalog.index()
    except StoreError as error:
        return {}, [Problem("index.json", str(error), ())]
    problems = [Problem("index.json", problem, ()) for problem in index.problems]
    return dict(index.models), problems


def _needed(
    layout: Layout, catalog: Catalog, entries: dict[str, Layer], every: bool
) -> dict[str, _Blob]:
    """The blobs that the models need, and all others there are if `every` says so."""
    blobs: dict[str, _Blob] = {}
    for name, entry in entries.items():
        layers: Sequence[Layer] = (entry,)
        with suppress(StoreError):  # told once its own blob was hashed
            layers = (entry, *catalog.manifest(entry).layers)
        for layer in layers:
            blob = blobs.setdefault(layer.digest, _Blob())
            blob.models.add(name)
            blob.sizes.setdefault(layer.size, name)
    if every:
        for digest in layout.digests():
            blobs.setdefault(digest, _Blob())
    return blobs


def _documents(
    catalog: Catalog, entries: dict[str, Layer], blobs: dict[str, _Blob]
) -> list[Problem]:
    """Models that cannot be read though all their blobs are what their digests say."""
    problems = []
    broken = {name for blob in blobs.values() if blob.problem for name in blob.models}
    for name, entry in entries.items():
        if name not in broken:
            try:
                catalog.model(name)
            except StoreError as error:
                problems.append(Problem(entry.digest, str(error), (name,)))
    return problems


def _quarantine(layout: Layout, problems: Iterable[Problem]) -> tuple[str, ...]:
    """Move the wrong blobs away, unless an import has brought them back in the meantime."""
    wrong = [one.place for one in problems if one.wrong]
    if not wrong:
        return ()
    with layout.alone(WAIT_S):
        again = {digest: _Blob() for digest in wrong}
        hashing = _Hashing(layout, None, again)
        moved = []
        for digest, blob in again.items():
            hashing.check((digest, blob))
            if blob.wrong:
                layout.quarantine(digest)
                moved.append(digest)
    return tuple(moved)


class _Hashing:
    """Hashes blobs, in any thread, and notes in each what is wrong with it."""

    def __init__(self, layout: Layout, progress: Progress | None, blobs: dict[str, _Blob]) -> None:
        self._layout = layout
        self._progress = progress
        self._total = sum(map(self._size, blobs))
        self._lock = threading.Lock()
        self._local = threading.local()
        self.done = 0

    def _size(self, digest: str) -> int:
        try:
            return os.stat(self._layout.blob_path(digest)).st_size
        except OSError:
            return 0

    def check(self, item: tuple[str, _Blob]) -> None:
        """Read a blob and note what is wrong with it."""
        digest, blob = item
        try:
            with self._layout.open_blob(digest) as file:
                actual = self._hash(file)
                lies = [size for size in blob.sizes if size != file.size]
        except NotInStoreError:
            blob.problem = "it is missing"
            return
        except StoreError as error:
            blob.problem = str(error)
            return
        if actual != digest:
            blob.wrong = True
            blob.problem = f"its content is {actual} ({file.size} bytes)"
        elif lies:
            blob.problem = (
                f"it has {file.size} bytes, model {shorten(blob.sizes[lies[0]])!r} says {lies[0]}"
            )

    def _hash(self, file: FileReader) -> str:
        if not hasattr(self._local, "buffer"):
            self._local.buffer = memoryview(bytearray(PIECE_BYTES))
        buffer: memoryview = self._local.buffer
        hasher = hashlib.sha256()
        for position in range(0, file.size, PIECE_BYTES):
            piece = buffer[: min(PIECE_BYTES, file.size - position)]
            file.read_into(position, piece)
            hasher.update(piece)
            with self._lock:
                self.done += len(piece)
                if self._progress is not None:
                    self._progress(self.done, self._total)
        return "sha256:" + hasher.hexdigest()

"""Verification: is every blob what its digest says, and whose is it if not?"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from trunkline.errors import StoreError
from trunkline.store.catalog import Catalog
from trunkline.store.importing import PIECE_BYTES, WORKERS, Progress
from trunkline.store.layout import Layout
from trunkline.store.reading import FileReader, reason
from trunkline.store.reports import BlobProblem, VerifyReport

_HEX: Final = re.compile(r"[a-f0-9]{64}")


@dataclass
class _Expected:
    """What is known of a blob before it is read: its length (None: unknown), and who needs it."""

    size: int | None
    models: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def verify(
    layout: Layout, catalog: Catalog, names: Iterable[str] | None, progress: Progress | None
) -> VerifyReport:
    """Recompute the digests of the models' blobs, or of all blobs if `names` is None."""
    started = time.perf_counter()
    expected = _expect(layout, catalog, names)
    if names is None:
        _add_unnamed(layout, expected)
    hashing = _Hashing(layout, progress, sum(one.size or 0 for one in expected.values()))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="trunkline-verify") as pool:
        found = pool.map(hashing.check, expected, [one.size for one in expected.values()])
        for one, problem in zip(expected.values(), found, strict=True):
            if problem is not None:
                one.problems[:] = [problem]  # explains why a manifest could not be read, too
    problems = tuple(
        BlobProblem(digest, problem, tuple(sorted(one.models)))
        for digest, one in sorted(expected.items())
        for problem in one.problems
    )
    return VerifyReport(len(expected), hashing.done, problems, time.perf_counter() - started)


def _expect(layout: Layout, catalog: Catalog, names: Iterable[str] | None) -> dict[str, _Expected]:
    entries = catalog.entries()
    chosen = sorted(entries) if names is None else list(dict.fromkeys(names))
    expected: dict[str, _Expected] = {}

    def need(digest: str, size: int, model: str) -> _Expected:
        one = expected.setdefault(digest, _Expected(size))
        one.models.add(model)
        if one.size != size:
            one.problems.append(f"manifests disagree about its length: {one.size} and {size}")
        return one

    for name in chosen:
        entry = catalog.entry(name)
        blob = need(entry.digest, entry.size, name)
        try:
            manifest = catalog.manifest(entry)
            for layer in manifest.layers:
                need(layer.digest, layer.size, name)
            if all(layout.has(layer.digest, layer.size) for layer in manifest.files):
                catalog.details(manifest)
        except StoreError as error:
            blob.problems.append(str(error))
    return expected


def _add_unnamed(layout: Layout, expected: dict[str, _Expected]) -> None:
    try:
        for path in sorted(layout.blobs.iterdir()):
            digest = f"sha256:{path.name}"
            if _HEX.fullmatch(path.name) and digest not in expected:
                expected[digest] = _Expected(path.stat().st_size)
    except OSError as error:
        raise StoreError(f"cannot list the blobs of {layout.path}: {reason(error)}") from None


class _Hashing:
    def __init__(self, layout: Layout, progress: Progress | None, total: int) -> None:
        self._layout = layout
        self._progress = progress
        self._total = total
        self._lock = threading.Lock()
        self._local = threading.local()
        self.done = 0

    def check(self, digest: str, size: int | None) -> str | None:
        """What is wrong with a blob, None if nothing is."""
        try:
            with self._layout.open_blob(digest, size) as file:
                actual = self._hash(file)
        except StoreError as error:
            return str(error)
        if actual != digest:
            return f"its content is {actual}"
        return None

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

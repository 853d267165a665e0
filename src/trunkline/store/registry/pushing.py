"""Pushing a model: the blobs that the repository lacks, then the config, then the manifest.

A blob that a neighbour repository of the same registry is known to hold is mounted from there where
the registry allows it. A registry that has the manifest under that tag already is sent nothing.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from typing import IO, Any, cast

from trunkline.errors import CorruptBlobError, RegistryError, RegistryUnavailableError, StoreError
from trunkline.store.catalog import Catalog
from trunkline.store.importing import Progress
from trunkline.store.layout import Layout
from trunkline.store.manifest import Layer
from trunkline.store.reading import FileReader
from trunkline.store.registry.fetching import Interrupted
from trunkline.store.registry.origins import known_origins
from trunkline.store.registry.pulling import distinct
from trunkline.store.registry.reference import SCHEME
from trunkline.store.registry.repository import Repository
from trunkline.store.registry.transport import WORKERS
from trunkline.store.reports import PushReport
from trunkline.units import shorten


def push(
    layout: Layout,
    catalog: Catalog,
    name: str,
    target: Repository,
    tag: str,
    *,
    neighbours: Sequence[str] | None = None,
    progress: Progress | None = None,
    workers: int = WORKERS,
) -> PushReport:
    """Push a model of the store; the caller holds `layout.reading()`.

    Args:
        target: the repository.
        tag: what the model is called there.
        neighbours: repositories of the same registry that may hold blobs; None for those that this
            store's pushes and pulls have seen.
        progress: called with (bytes done, bytes in all).
        workers: requests in flight.

    Raises:
        NotInStoreError: no such model, or a blob of it is missing.
        CorruptBlobError: a blob is not what its digest says.
        RegistryError: the registry refuses or fails; blobs that were sent serve the next try.
    """
    started = time.perf_counter()
    entry = catalog.entry(name)
    manifest = catalog.manifest(entry)
    raw = layout.read_blob(entry.digest, entry.size)
    blobs = distinct(manifest, str(layout.blob_path(entry.digest)))
    total = sum(one.size for one in blobs) + len(raw)
    unchanged = target.manifest_digest(tag) == entry.digest
    sending = _Sending(layout, target, _Neighbours(layout, catalog, target, neighbours), progress)
    if not unchanged:
        layers = [one for one in blobs if one.digest != manifest.config.digest]
        sending.total = sum(one.size for one in blobs)
        sending.run(layers, workers)
        sending.send(manifest.config)
        target.put_manifest(tag, raw)
    return PushReport(
        name,
        f"{SCHEME}{target}:{tag}",
        entry.digest,
        total,
        len(blobs) + 1,
        sum(sending.sent) + (0 if unchanged else len(raw)),
        len(sending.sent) + (not unchanged),
        sum(sending.mounted),
        len(sending.mounted),
        time.perf_counter() - started,
        unchanged,
    )


class _Counted(io.RawIOBase):
    """A blob's bytes from its beginning, counted as they are read; none after `stop`."""

    def __init__(
        self, reader: FileReader, count: Callable[[int], None], stop: threading.Event
    ) -> None:
        self._reader = reader
        self._count = count
        self._stop = stop
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, as far as there are bytes."""
        if self._stop.is_set():
            raise Interrupted
        view = memoryview(buffer)[: self._reader.size - self._at]
        self._reader.read_into(self._at, view)
        self._at += len(view)
        self._count(len(view))
        return len(view)


class _Neighbours:
    """From which repository of the same registry a blob may be taken."""

    def __init__(
        self, layout: Layout, catalog: Catalog, target: Repository, named: Sequence[str] | None
    ) -> None:
        self._named = [one for one in named or () if one != target.name]
        self._of: dict[str, str] = {}
        if named is not None:
            return
        models = {one.digest: one for one in catalog.index().models.values()}
        known = known_origins(layout, target.transport.host)
        for repository, digests in known.items():
            for digest in digests if repository != target.name else ():
                if digest in models:
                    self._note(catalog, models[digest], repository)

    def _note(self, catalog: Catalog, entry: Layer, repository: str) -> None:
        try:
            layers = catalog.manifest(entry).layers
        except StoreError:  # damaged: it says nothing
            return
        self._of |= {layer.digest: repository for layer in layers}

    def holding(self, digest: str) -> list[str]:
        """The repositories to try, in turn."""
        return self._named or [self._of[digest]] if self._named or digest in self._of else []


class _Sending:
    """Brings blobs into a repository, from several threads."""

    def __init__(
        self,
        layout: Layout,
        target: Repository,
        neighbours: _Neighbours,
        progress: Progress | None,
    ) -> None:
        self._layout = layout
        self._target = target
        self._neighbours = neighbours
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._done = 0
        self.total = 0
        self.sent: list[int] = []
        self.mounted: list[int] = []

    def run(self, layers: Sequence[Layer], workers: int) -> None:
        """Send all, the largest first; the first error ends the others."""
        with ThreadPoolExecutor(workers, thread_name_prefix="trunkline-push") as pool:
            ahead = sorted(layers, key=lambda one: -one.size)
            futures = [pool.submit(self.send, layer) for layer in ahead]
            try:
                ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
            except BaseException:
                self._stop.set()
                raise
            finally:
                for future in futures:
                    future.cancel()

    def send(self, layer: Layer) -> None:
        """See to it that the repository has a blob."""
        if self._target.has_blob(layer.digest):
            self._tell(layer.size)
            return
        place = None
        for neighbour in self._neighbours.holding(layer.digest):
            try:
                place = self._target.mount(layer.digest, neighbour)
            except RegistryUnavailableError:
                raise
            except RegistryError:  # not ours to read, or no such repository
                continue
            if place is None:
                with self._lock:
                    self.mounted.append(layer.size)
                self._tell(layer.size)
                return
        self._upload(layer, place)
        with self._lock:
            self.sent.append(layer.size)

    def _upload(self, layer: Layer, place: str | None) -> None:
        tried = 0
        while True:
            told = [0]
            try:
                place = place or self._target.mount(layer.digest, None)
                if place is None:
                    raise RegistryError(f"{self._target} gave no place for {layer.digest}")
                with ExitStack() as opened:
                    body = partial(self._body, layer, opened, told)
                    self._target.upload(place, layer.digest, layer.size, body)
                return
            except RegistryUnavailableError as error:
                self._tell(-told[0])
                place = None
                tried += 1
                self._target.transport.wait(tried, error, self._stop)
            except RegistryError as error:
                raise self._explained(layer, error) from None

    def _body(self, layer: Layer, opened: ExitStack, told: list[int]) -> IO[bytes]:
        """A blob's content as a file; one that is sent again counts once."""
        self._tell(-told[0])
        told[0] = 0

        def count(read: int) -> None:
            told[0] += read
            self._tell(read)

        reader = opened.enter_context(self._layout.open_blob(layer.digest, layer.size))
        return cast(IO[bytes], io.BufferedReader(_Counted(reader, count, self._stop), 2**18))

    def _explained(self, layer: Layer, error: RegistryError) -> Exception:
        """A refusal whose reason lies in the store."""
        if error.status != 400:
            return error
        with self._layout.blob_path(layer.digest).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == layer.digest[len("sha256:") :]:
                return error
        return CorruptBlobError(
            f"the blob {shorten(layer.digest)} is corrupt and was not sent; `trunkline verify` "
            "tells how to mend it"
        )

    def _tell(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self.total)

"""Pulling a model: its manifest, then those of its blobs that the store lacks, then its name.

The manifest is read by the same rules as one in the store before any blob is asked for. The model
gets its name when every blob is there, was hashed, and reads as a model; so whatever breaks off
whenever, the store verifies, and the next pull goes on from what is there.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from trunkline.errors import StoreError
from trunkline.store import manifest as packing
from trunkline.store.adding import publish, shared_with, taken
from trunkline.store.catalog import Catalog
from trunkline.store.digests import is_digest
from trunkline.store.importing import Progress
from trunkline.store.layout import Layout
from trunkline.store.manifest import Layer, Manifest
from trunkline.store.model import StoredModel
from trunkline.store.partial import sizes
from trunkline.store.reading import reason
from trunkline.store.registry.fetching import Fetcher, Interrupted
from trunkline.store.registry.origins import note_origin
from trunkline.store.registry.reference import SCHEME
from trunkline.store.registry.repository import Repository
from trunkline.store.registry.transport import WORKERS
from trunkline.store.reports import PullReport
from trunkline.units import shorten, size

Holders = Callable[[Layer], Sequence[Repository]]
"""Who may hold a blob, in the order in which they are asked."""


def pull(
    layout: Layout,
    catalog: Catalog,
    name: str,
    origin: Repository,
    target: str,
    *,
    holders: Holders | None = None,
    replace: bool = False,
    progress: Progress | None = None,
    workers: int = WORKERS,
) -> PullReport:
    """Pull a model under a checked name; the caller holds `layout.importing()`.

    Args:
        origin: the repository that has the manifest; asked for every blob after `holders`.
        target: the manifest's tag or digest.
        holders: other repositories that may hold a blob.
        replace: whether another model of that name may give way.
        progress: called with (bytes done, bytes in all) of what the store lacked.
        workers: requests in flight.

    Raises:
        RegistryError: the registry refuses, fails, or sends what was not promised.
        StoreError: the manifest or the model is not what it should be, the name is taken, or the
            store cannot be written to; blobs that were fetched serve the next try.
    """
    started = time.perf_counter()
    where = f"{SCHEME}{origin}{'@' if is_digest(target) else ':'}{target}"
    digest, raw = origin.manifest(target)
    manifest = read(raw, where)
    entry = Layer(digest, len(raw), "")
    there = catalog.index().models.get(name)
    same = there is not None and there.digest == digest
    if there is not None and not same and not replace:
        raise taken(name, layout)
    blobs = distinct(manifest, where)
    lacking = [one for one in blobs if not layout.has(one.digest, one.size)]
    unchanged = same and not lacking and layout.has(digest, len(raw))
    _check_room(layout, lacking)
    fetched = _Fetching(layout, lacking, progress, workers)
    lacked = {one.digest for one in lacking}
    here = [one for one in manifest.blocks if one.digest not in lacked]
    fetched.run(
        lambda layer: [*(holders(layer) if holders else ()), origin],
        meanwhile=lambda: catalog.look_at(here),
    )
    replaced = False
    if unchanged:
        model = catalog.model(name)
    else:
        if not layout.has(digest, len(raw)):
            layout.write_blob(digest, [raw])
        catalog.know(digest, manifest)
        model = _read_model(catalog, name, entry, where)
        replaced = publish(layout, name, digest, {digest: raw}, replace)
    note_origin(layout, origin, digest)
    in_all = sum(one.size for one in blobs)
    return PullReport(
        name,
        where,
        digest,
        in_all + len(raw),
        fetched.fetcher.received + len(raw),
        fetched.fetcher.resumed,
        in_all - sum(one.size for one in lacking),
        len(blobs) + 1,
        len(lacking) + (not same),
        shared_with(catalog, name, model.blocks),
        time.perf_counter() - started,
        unchanged,
        replaced,
    )


def read(raw: bytes, where: str) -> Manifest:
    """A pulled manifest, by the rules of those in a store.

    Raises:
        StoreError: it is no ModelPack manifest of files in digests, sizes, paths and counts that
            are accepted; what else it is, if that can be told.
    """
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where}: the manifest is no JSON: {error!s:.100}") from None
    if not isinstance(document, dict):
        raise StoreError(f"{where}: the manifest is no JSON object")
    if isinstance(members := document.get("manifests"), list):
        raise StoreError(
            f"{where} is an index of {len(members)} manifests and no model; name one of them by "
            "its digest: oci://HOST/REPO@sha256:..."
        )
    return packing.read_manifest(document, where)


def distinct(manifest: Manifest, where: str) -> list[Layer]:
    """The blobs of a manifest, each once (StoreError if it names one with two sizes)."""
    found: dict[str, Layer] = {}
    for layer in manifest.layers:
        known = found.setdefault(layer.digest, layer)
        if known.size != layer.size:
            raise StoreError(
                f"{where}: {layer.digest} has {known.size} bytes in one place and {layer.size} in "
                "another"
            )
    return list(found.values())


class _Fetching:
    """Several blobs at once, the largest first, so that no thread is left alone with one."""

    def __init__(
        self, layout: Layout, lacking: Iterable[Layer], progress: Progress | None, workers: int
    ) -> None:
        self._layers = sorted(lacking, key=lambda one: -one.size)
        self._progress = progress
        # as many again wait for the disk, so that no connection does
        self._workers = max(1, min(2 * workers, len(self._layers)))
        self._lock = threading.Lock()
        self._done, self._total = 0, sum(one.size for one in self._layers)
        self.fetcher = Fetcher(layout, self._arrived, workers)

    def run(self, holders: Holders, meanwhile: Callable[[], None]) -> None:
        """Fetch all, and do something else `meanwhile`; the first error ends the others where they
        are."""
        with ThreadPoolExecutor(self._workers, thread_name_prefix="trunkline-pull") as pool:
            futures = [pool.submit(self._one, layer, holders) for layer in self._layers]
            try:
                meanwhile()
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self.fetcher.stop()  # also where the user interrupts
                for future in futures:
                    future.cancel()
        errors = [one.exception() for one in futures if not one.cancelled()]
        for error in sorted(filter(None, errors), key=lambda one: isinstance(one, Interrupted)):
            raise error

    def _one(self, layer: Layer, holders: Holders) -> None:
        self.fetcher.fetch(layer, holders(layer))

    def _arrived(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self._total)


def _check_room(layout: Layout, lacking: Sequence[Layer]) -> None:
    """Refuse to begin what the disk has no room for."""
    begun = sizes(layout)
    needed = sum(max(0, one.size - begun.get(one.digest, 0)) for one in lacking)
    try:
        free = shutil.disk_usage(layout.path).free
    except OSError as error:
        raise StoreError(f"cannot look at {layout.path}: {reason(error)}") from None
    if needed > free:
        raise StoreError(
            f"the store at {layout.path} has {size(free)} free, and {size(needed)} are needed; "
            "nothing was fetched (`trunkline gc` frees blobs that no model needs)"
        )


def _read_model(catalog: Catalog, name: str, entry: Layer, where: str) -> StoredModel:
    """The model, before it has its name; what would be a damaged one of this store is refused."""
    try:
        return catalog.read(name, entry)
    except StoreError as error:
        raise StoreError(
            f"{shorten(where)} holds no model that can be used: {error}; nothing was added"
        ) from None

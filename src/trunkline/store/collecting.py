"""Garbage: blobs that nothing names any more, and files of killed imports and interrupted pulls."""

from __future__ import annotations

from trunkline.errors import InputError, StoreError
from trunkline.store.catalog import Catalog
from trunkline.store.importing import Progress
from trunkline.store.layout import Layout
from trunkline.store.reading import reason
from trunkline.store.reports import GcReport


def collect(layout: Layout, catalog: Catalog, progress: Progress | None, wait_s: float) -> GcReport:
    """Remove what the index does not reach; imports are kept out meanwhile.

    Raises:
        InputError: `wait_s` is negative, or no number.
        StoreBusyError: imports run beyond `wait_s`.
        StoreError: a document is missing or corrupt, or a file cannot be removed.
    """
    if not wait_s >= 0:
        raise InputError(f"a collection cannot wait for {wait_s} seconds: at least 0 are needed")
    with layout.alone(wait_s):
        temporaries = layout.clear_temporaries(partials=True)
        try:
            kept = catalog.reachable()
        except StoreError as error:
            raise StoreError(
                f"{error}; so nobody can tell which blobs are needed, and none was removed "
                "(`trunkline verify` tells how to mend it)"
            ) from None
        digests = list(layout.digests())
        blobs = freed = 0
        try:
            for i, digest in enumerate(digests):
                if digest not in kept:
                    path = layout.blob_path(digest)
                    freed += path.stat().st_size
                    path.unlink()
                    blobs += 1
                if progress is not None:
                    progress(i + 1, len(digests))
        except OSError as error:
            raise StoreError(f"cannot remove {error.filename}: {reason(error)}") from None
    return GcReport(blobs, freed, temporaries)
